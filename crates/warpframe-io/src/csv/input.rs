//! The beginnings of records in the bytes of a CSV file.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use object_store::ObjectStore;
use object_store::path::Path;

use super::CsvError;
use super::dialect::CsvDialect;
use super::header::FirstValue;
use super::record_reader::{RecordReader, Step, count_lines};
use crate::file_type::Compression;
use crate::text_input::Input;

impl Input {
    /// An execution error for a fault at a line.
    pub(super) fn csv_error(&self, error: &CsvError) -> DataFusionError {
        self.error(&format_args!("line {}: {}", error.line, error.message))
    }

    /// Reads the first record. If it is a header, the reader is behind it, or else before it. `None` if there is no record.
    ///
    /// # Errors
    /// The file cannot be read, or the record is not valid.
    pub(super) async fn read_first_record(
        &mut self,
        dialect: &CsvDialect,
    ) -> Result<Option<(Vec<FirstValue>, RecordReader)>> {
        let mut reader = RecordReader::new(dialect.clone(), 0);
        let mut pieces = Vec::new();
        loop {
            match reader.advance(u64::MAX).map_err(|error| self.csv_error(&error))? {
                Step::Record => break,
                Step::End => return Ok(None),
                Step::NeedsInput => match self.next().await? {
                    None => reader.finish(),
                    Some(piece) => {
                        reader.feed(&piece);
                        pieces.push(piece);
                    }
                },
            }
        }
        let values = (0..reader.len()).map(|index| {
            let (value, is_quoted) = reader.value(index).unwrap_or_default();
            let text = String::from_utf8(value.to_vec()).map_err(|_| {
                self.error(&format_args!("line {}: the first record is not UTF-8 text", reader.line()))
            })?;
            let is_null = !is_quoted && (text.is_empty() || dialect.null_text.as_ref() == Some(&text));
            Ok(FirstValue { text, is_name: is_quoted, is_null })
        });
        let mut values = values.collect::<Result<Vec<_>>>()?;
        if values.iter().any(|value| value.is_name) {
            // Values below that are quoted as well make the quotes of the first record say nothing.
            let mut both = RecordReader::new(dialect.clone(), 0);
            pieces.iter().for_each(|piece| both.feed(piece));
            let is_record = |step| matches!(step, Ok(Step::Record));
            if is_record(both.advance(u64::MAX)) && is_record(both.advance(u64::MAX)) {
                for (index, value) in values.iter_mut().enumerate() {
                    value.is_name &= both.value(index).is_none_or(|(_, is_quoted)| !is_quoted);
                }
            }
        }
        if !dialect.has_header {
            reader = RecordReader::new(dialect.clone(), 0);
            pieces.iter().for_each(|piece| reader.feed(piece));
        }
        Ok(Some((values, reader)))
    }

    /// Skips to the beginning of the first record that begins behind the first byte of this input, which is at `start` in
    /// the file. No quoted value has a line break. `None` if there is no such record.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) async fn skip_to_record(
        mut self,
        dialect: &CsvDialect,
        start: u64,
    ) -> Result<Option<(Self, RecordReader)>> {
        let (mut skipped, mut after_cr) = (start, false);
        while let Some(piece) = self.next().await? {
            let begins = match after_cr {
                // A line feed behind a carriage return belongs to it.
                true => Some(usize::from(piece.first() == Some(&b'\n'))),
                false => match piece.iter().position(|byte| dialect.ends_record(*byte)) {
                    Some(end) if dialect.terminator.is_none() && piece[end] == b'\r' => {
                        match piece.get(end + 1) {
                            Some(b'\n') => Some(end + 2),
                            Some(_) => Some(end + 1),
                            None => {
                                after_cr = true;
                                None
                            }
                        }
                    }
                    end => end.map(|end| end + 1),
                },
            };
            let Some(begins) = begins else {
                skipped += piece.len() as u64;
                continue;
            };
            let mut reader = RecordReader::new(dialect.clone(), skipped + begins as u64);
            reader.feed(&piece[begins..]);
            return Ok(Some((self, reader)));
        }
        Ok(None)
    }
}

/// The number of lines that end before a position of a file.
///
/// # Errors
/// The file cannot be read.
pub(super) async fn lines_before(store: &Arc<dyn ObjectStore>, location: &Path, end: u64) -> Result<u64> {
    let mut input = Input::open(store, location, 0, Compression::UNCOMPRESSED).await?;
    let (mut rest, mut lines) = (end, 0);
    while rest > 0
        && let Some(piece) = input.next().await?
    {
        let length = (piece.len() as u64).min(rest);
        lines += count_lines(&piece[..length as usize]);
        rest -= length;
    }
    Ok(lines)
}
