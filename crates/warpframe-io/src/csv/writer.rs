//! Writes CSV so that an empty text and NULL can be told apart.

use std::io::Write;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::type_inference::Kinds;

/// The syntax that is written.
#[derive(Debug, Clone)]
pub(super) struct WriterDialect {
    pub has_header: bool,
    pub delimiter: u8,
    pub quote: u8,
    /// What is written for NULL. Texts that are the same are quoted.
    pub null: String,
}

/// A writer of CSV with a header: a comma or another byte between values, LF behind records, and quotes where they are needed. NULL is an
/// empty value, and an empty text is `""`. Names of columns that look like numbers, dates or booleans are quoted.
#[derive(Debug)]
pub struct CsvWriter<W: Write> {
    out: W,
    dialect: WriterDialect,
    /// The text of the records that are not written yet.
    text: Vec<u8>,
}

impl<W: Write> CsvWriter<W> {
    /// Writes the header, with the byte `delimiter` between values.
    ///
    /// # Errors
    /// A column has a nested type, or the output cannot be written.
    pub fn begin(out: W, schema: &Schema, delimiter: u8) -> Result<Self, ArrowError> {
        let null = String::new();
        Self::with_dialect(out, schema, WriterDialect { has_header: true, delimiter, quote: b'"', null })
    }

    pub(super) fn with_dialect(out: W, schema: &Schema, dialect: WriterDialect) -> Result<Self, ArrowError> {
        if let Some(nested) = schema.fields().iter().find(|field| field.data_type().is_nested()) {
            return Err(ArrowError::CsvError(format!(
                "column '{}' cannot be written as CSV: it is a {}",
                nested.name(),
                nested.data_type()
            )));
        }
        let mut writer = Self { out, dialect, text: Vec::new() };
        if !writer.dialect.has_header {
            return Ok(writer);
        }
        for (position, field) in schema.fields().iter().enumerate() {
            writer.push_delimiter(position);
            // A name that looks like a value of another type is quoted, so that readers take the record for a header.
            let is_quoted = !Kinds::of_value(field.name()).is_plain_text();
            writer.push_text(field.name(), is_quoted);
        }
        writer.text.push(b'\n');
        writer.write_text()?;
        Ok(writer)
    }

    /// Writes the rows of a batch.
    ///
    /// # Errors
    /// A value cannot be formatted, or the output cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let options = FormatOptions::default();
        let columns = batch.columns().iter();
        let columns: Vec<_> =
            columns.map(|column| ArrayFormatter::try_new(column, &options)).collect::<Result<_, _>>()?;
        let nulls: Vec<_> = batch.columns().iter().map(|column| column.logical_nulls()).collect();
        let mut value = String::new();
        for row in 0..batch.num_rows() {
            for (position, (column, nulls)) in columns.iter().zip(&nulls).enumerate() {
                self.push_delimiter(position);
                if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                    value.clear();
                    column.value(row).write(&mut value)?;
                    self.push_text(&value, false);
                } else {
                    self.text.extend_from_slice(self.dialect.null.as_bytes());
                }
            }
            self.text.push(b'\n');
        }
        self.write_text()
    }

    /// The output. All records are written to it.
    pub fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// The output.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn push_delimiter(&mut self, position: usize) {
        if position > 0 {
            self.text.push(self.dialect.delimiter);
        }
    }

    /// Adds a value, in quotes if it needs them or `is_quoted` says so.
    fn push_text(&mut self, text: &str, is_quoted: bool) {
        let (delimiter, quote) = (self.dialect.delimiter, self.dialect.quote);
        let is_special = |byte: &u8| *byte == delimiter || *byte == quote || matches!(byte, b'\n' | b'\r');
        let may_be_plain = !is_quoted && text != self.dialect.null && !text.is_empty();
        if may_be_plain && !text.as_bytes().iter().any(is_special) {
            return self.text.extend_from_slice(text.as_bytes());
        }
        self.text.push(quote);
        for byte in text.bytes() {
            if byte == quote {
                self.text.push(quote);
            }
            self.text.push(byte);
        }
        self.text.push(quote);
    }

    fn write_text(&mut self) -> Result<(), ArrowError> {
        self.out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }
}
