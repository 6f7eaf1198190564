//! Decodes CSV records into record batches.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array,
};
use arrow::compute::kernels::regexp::regexp_is_match_scalar;
use arrow::compute::{CastOptions, can_cast_types, cast_with_options, nullif};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::util::display::FormatOptions;

use super::CsvError;
use super::column_map::ColumnMap;
use super::delimiter_hint::{delimiter_hint, other_delimiter};
use super::dialect::CsvDialect;
use super::record_reader::{RecordReader, Step};
use super::text_columns::TextColumn;

/// The bytes of text in a column at which a batch ends early.
const MAX_COLUMN_BYTES: usize = 256 * 1024 * 1024;

/// The longest part of a value that a message shows, in characters.
const SHOWN_CHARACTERS: usize = 60;

/// What [`Decoder::decode`] has found.
#[derive(Debug)]
pub(super) enum Decoded {
    Batch(RecordBatch),
    NeedsInput,
    End,
}

/// A decoder of the records of one file, or of a part of it.
#[derive(Debug)]
pub(super) struct Decoder {
    reader: RecordReader,
    truncated_rows: bool,
    delimiter: u8,
    null_text: Option<Vec<u8>>,
    null_regex: Option<String>,
    /// The columns to decode.
    schema: SchemaRef,
    /// For each of them, its position in a record.
    positions: Vec<usize>,
    /// The number of values in a record.
    values: usize,
    batch_size: usize,
    /// What a message says about a value that is not of the column's type.
    type_hint: &'static str,
    text: Vec<TextColumn>,
    /// The line of each record of the batch under construction.
    lines: Vec<u64>,
    /// The position in the file at which other parts begin.
    end: u64,
}

impl Decoder {
    /// A decoder of the columns of `schema`. `reader` is behind the header of a file in which they are where `map` says.
    ///
    /// # Errors
    /// A column has a type that cannot be read from text.
    pub fn new(
        mut reader: RecordReader,
        dialect: &CsvDialect,
        schema: SchemaRef,
        map: &ColumnMap,
        batch_size: usize,
        type_hint: &'static str,
        end: u64,
    ) -> Result<Self, String> {
        for field in schema.fields() {
            if !can_cast_types(&DataType::Utf8, field.data_type()) {
                return Err(format!(
                    "column '{}' cannot be read as {}",
                    field.name(),
                    type_name(field.data_type())
                ));
            }
        }
        if map.values == 1 {
            reader.keep_blank_lines();
        }
        Ok(Self {
            reader,
            truncated_rows: dialect.truncated_rows,
            delimiter: dialect.delimiter,
            null_text: dialect.null_text.clone().map(String::into_bytes),
            null_regex: dialect.null_regex.clone(),
            text: schema.fields().iter().map(|_| TextColumn::default()).collect(),
            positions: map.positions.clone(),
            values: map.values,
            schema,
            batch_size,
            type_hint,
            lines: Vec::new(),
            end,
        })
    }

    /// Adds the text that follows.
    pub fn feed(&mut self, text: &[u8]) {
        self.reader.feed(text);
    }

    /// Says that no text follows.
    pub fn finish(&mut self) {
        self.reader.finish();
    }

    /// The records since the last batch.
    pub fn flush(&mut self) -> Result<Option<RecordBatch>, CsvError> {
        match self.lines.is_empty() {
            true => Ok(None),
            false => self.take_batch().map(Some),
        }
    }

    /// Decodes the next batch.
    pub fn decode(&mut self) -> Result<Decoded, CsvError> {
        loop {
            match self.reader.advance(self.end)? {
                Step::NeedsInput => return Ok(Decoded::NeedsInput),
                Step::End if self.lines.is_empty() => return Ok(Decoded::End),
                Step::End => return Ok(Decoded::Batch(self.take_batch()?)),
                Step::Record => self.push_record()?,
            }
            let is_full = self.lines.len() >= self.batch_size
                || self.text.iter().any(|column| column.bytes() >= MAX_COLUMN_BYTES);
            if is_full {
                return Ok(Decoded::Batch(self.take_batch()?));
            }
        }
    }

    /// Adds the current record to the batch.
    fn push_record(&mut self) -> Result<(), CsvError> {
        let (found, line) = (self.reader.len(), self.reader.line());
        if found > self.values || (found < self.values && !self.truncated_rows) {
            let columns = match self.values {
                1 => "is 1 column".to_owned(),
                columns => format!("are {columns} columns"),
            };
            let name = self.schema.fields().first().map_or("", |field| field.name());
            let hint = other_delimiter(self.values, name, self.delimiter);
            let hint = hint.map(|byte| format!("; {}", delimiter_hint(byte))).unwrap_or_default();
            let message = format!("the record has {found} values, and there {columns}{hint}");
            return Err(CsvError::new(line, message));
        }
        for (column, position) in self.text.iter_mut().zip(&self.positions) {
            match self.reader.value(*position) {
                Some((value, _)) if value.len() > TextColumn::MAX_BYTES - column.bytes() => {
                    return Err(CsvError::new(line, "the values of a column are longer than 2 GiB together"));
                }
                Some((value, false)) if self.null_text.as_deref().is_some_and(|null| null == value) => {
                    column.push_null();
                }
                Some((value, is_quoted)) if is_quoted || !value.is_empty() || self.null_regex.is_some() => {
                    column.push(value);
                }
                _ => column.push_null(),
            }
        }
        self.lines.push(line);
        Ok(())
    }

    /// The batch under construction, which is empty afterwards.
    fn take_batch(&mut self) -> Result<RecordBatch, CsvError> {
        let lines = std::mem::take(&mut self.lines);
        let line = |row: usize| lines.get(row).copied().unwrap_or_default();
        let mut columns = Vec::with_capacity(self.text.len());
        for (text, field) in self.text.iter_mut().zip(self.schema.fields()) {
            let name = field.name();
            let text = text.finish().map_err(|row| {
                CsvError::new(line(row), format!("the value of column '{name}' is not UTF-8 text"))
            })?;
            let text = match &self.null_regex {
                Some(regex) => matching_as_null(&text, regex).map_err(|error| {
                    CsvError::new(line(0), format!("'{regex}' is not a valid regular expression: {error}"))
                })?,
                None => text,
            };
            let column = read_as(&text, field.data_type()).map_err(|row| {
                let what = type_name(field.data_type());
                let value: String = text.value(row).chars().take(SHOWN_CHARACTERS).collect();
                CsvError::new(
                    line(row),
                    format!("the value '{value}' of column '{name}' is no {what}{}", self.type_hint),
                )
            })?;
            if !field.is_nullable()
                && let Some(row) = (0..column.len()).find(|row| column.is_null(*row))
            {
                let message = format!("column '{name}' is declared NOT NULL and has no value");
                return Err(CsvError::new(line(row), message));
            }
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(lines.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| CsvError::new(line(0), error.to_string()))
    }
}

/// The values, without those that match a regular expression.
pub(super) fn matching_as_null(
    text: &StringArray,
    regex: &str,
) -> Result<Arc<StringArray>, arrow::error::ArrowError> {
    let matches: BooleanArray = regexp_is_match_scalar(text, regex, None)?;
    let kept = nullif(text, &matches)?;
    Ok(Arc::new(StringArray::from(kept.to_data())))
}

/// The values as another type. Empty values are NULL if the type is none of text or bytes.
///
/// # Errors
/// The row of the first value that is not of the type.
pub(super) fn read_as(text: &Arc<StringArray>, data_type: &DataType) -> Result<ArrayRef, usize> {
    if data_type == &DataType::Utf8 {
        return Ok(Arc::clone(text) as _);
    }
    if data_type == &DataType::Null {
        return match text.iter().position(|value| value.is_some_and(|value| !value.is_empty())) {
            Some(row) => Err(row),
            None => Ok(new_null_array(data_type, text.len())),
        };
    }
    let options = CastOptions { safe: true, format_options: FormatOptions::default() };
    let values = cast_with_options(text.as_ref(), data_type, &options).map_err(|_| 0usize)?;
    if values.null_count() > text.null_count() {
        let is_wrong =
            |row: &usize| text.is_valid(*row) && values.is_null(*row) && !text.value(*row).is_empty();
        if let Some(row) = (0..text.len()).find(is_wrong) {
            return Err(row);
        }
    }
    Ok(values)
}

/// The name of a type in SQL.
fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "BOOLEAN",
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Date32 => "DATE",
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "TIMESTAMP",
        DataType::Timestamp(unit, None) => {
            let digits = match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                _ => 6,
            };
            return format!("TIMESTAMP({digits})");
        }
        other => return other.to_string(),
    };
    name.to_owned()
}
