//! The columns of CSV files, from their headers and from the values at their beginning.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::common::{Result, exec_err};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore};

use super::column_map::ColumnMap;
use super::decoder::{Decoded, Decoder, matching_as_null};
use super::delimiter_hint::{delimiter_hint, other_delimiter};
use super::dialect::CsvDialect;
use super::header::{FirstValue, is_header};
use super::type_inference::Kinds;
use crate::text_input::Input;

/// The bytes that are read to find the types of a table's columns, in all files together.
const SAMPLE_BYTES: u64 = 64 * 1024 * 1024;

/// The bytes that are read of each file at least.
const MIN_SAMPLE_BYTES: u64 = 64 * 1024;

/// The number of files whose beginnings are read concurrently.
const CONCURRENT_READS: usize = 16;

/// The records that are decoded together.
const BATCH_ROWS: usize = 4096;

/// The columns of one file.
struct FileColumns {
    file: String,
    first: Vec<FirstValue>,
    /// The kinds of the values below the first record.
    kinds: Vec<Kinds>,
    /// Whether there is a record below the first one.
    has_rows: bool,
    /// The first value that is in the column below it as well, if that has text.
    repeated: Option<String>,
}

impl FileColumns {
    /// The names of the columns, in a file with or without a header.
    fn names(&self, has_header: bool) -> Vec<String> {
        match has_header {
            true => self.first.iter().map(|value| value.text.clone()).collect(),
            false => (1..=self.first.len()).map(|number| format!("column_{number}")).collect(),
        }
    }

    /// Whether the values say that the first record is a header, or that it is none; `None` if they say neither.
    fn tells_header(&self) -> Option<bool> {
        let is_known = self.has_rows && self.kinds.iter().any(|kinds| !kinds.is_plain_text());
        is_known.then(|| is_header(&self.first, Some(&self.kinds)))
    }

    /// What is ambiguous about a file for whose header the options say nothing.
    fn doubts(&self, has_header: bool, delimiter: u8) -> Vec<String> {
        let mut notes = Vec::new();
        let file = &self.file;
        let is_text = self.kinds.iter().all(|kinds| kinds.is_plain_text());
        if let Some(value) = self.repeated.as_ref().filter(|_| has_header && is_text) {
            notes.push(format!(
                "'{file}' is taken to have a header, since all its values are text; but '{value}' is in the first line and \
                 again below it: if the first line is no header, set the option header (--csv-header no, or \
                 'format.has_header' 'false')"
            ));
        }
        if let [value] = &self.first[..]
            && !value.is_name
            && let Some(other) = other_delimiter(1, &value.text, delimiter)
        {
            notes.push(format!("'{file}' has one column: {}", delimiter_hint(other)));
        }
        notes
    }
}

/// The columns of the files of a table.
#[derive(Debug)]
pub(super) struct TableColumns {
    pub schema: SchemaRef,
    /// Whether the files have a header.
    pub has_header: bool,
    /// The file in which that was found; `None` if it was known, or if there is no record.
    pub detected_in: Option<String>,
    /// What the user may want to correct.
    pub notes: Vec<String>,
}

/// Finds the columns of files that have the same ones. The first file settles their order. Types fit all values of the
/// first 64 MiB, or of the first `max_rows` records of each file; with 0 records, all are text. Files without a record count
/// only if all are such files. Where `has_header` does not say it, the first file with more than one record, or else the
/// first one, tells whether the files have a header.
///
/// # Errors
/// A file cannot be read, the files have different columns, or two columns of one name.
pub(super) async fn infer_schema(
    store: &Arc<dyn ObjectStore>,
    objects: &[ObjectMeta],
    dialect: &CsvDialect,
    compression: CompressionTypeVariant,
    has_header: Option<bool>,
    max_rows: Option<usize>,
) -> Result<TableColumns> {
    let sample = (SAMPLE_BYTES / (objects.len() as u64).max(1)).max(MIN_SAMPLE_BYTES);
    let max_rows = max_rows.unwrap_or(usize::MAX);
    let files = stream::iter(objects.to_vec())
        .map(|object| {
            let (store, dialect) = (Arc::clone(store), dialect.clone());
            async move { file_columns(&store, &object, &dialect, compression, sample, max_rows).await }
        })
        .buffered(CONCURRENT_READS);
    let files: Vec<_> = files.try_filter_map(|file| async { Ok(file) }).try_collect().await?;
    let Some((first, others)) = files.split_first() else {
        let schema = Arc::new(Schema::empty());
        let has_header = has_header.unwrap_or(true);
        return Ok(TableColumns { schema, has_header, detected_in: None, notes: Vec::new() });
    };
    let telling = files.iter().find(|file| file.has_rows).unwrap_or(first);
    let below = telling.has_rows.then_some(&telling.kinds[..]);
    let detected_in = has_header.is_none().then(|| telling.file.clone());
    let has_header = has_header.unwrap_or_else(|| is_header(&telling.first, below));
    let mut notes = Vec::new();
    if detected_in.is_some() {
        check_headers(telling, has_header, &files)?;
        notes = telling.doubts(has_header, dialect.delimiter);
    }
    let names = first.names(has_header);
    if let Some(position) = (0..names.len()).find(|position| names[..*position].contains(&names[*position])) {
        let (file, name) = (&first.file, &names[position]);
        return exec_err!(
            "cannot read '{file}': its header has two columns '{name}': declare the columns by other names with CREATE \
             EXTERNAL TABLE"
        );
    }
    let kinds_of = |file: &FileColumns| {
        let is_data = !has_header && max_rows > 0;
        let first = |value: &FirstValue| if is_data { value.kinds() } else { Kinds::default() };
        file.kinds.iter().zip(&file.first).map(|(below, value)| below.with(first(value))).collect::<Vec<_>>()
    };
    let mut kinds = kinds_of(first);
    let text = |name: &String| Field::new(name, DataType::Utf8, true);
    let columns = Schema::new(names.iter().map(text).collect::<Vec<_>>());
    for other in others {
        let map = match has_header {
            true => ColumnMap::by_name(&other.names(true), &columns, false),
            false if other.first.len() != names.len() => Err(format!("it has {} columns", other.first.len())),
            false => Ok(ColumnMap::by_position(names.len())),
        };
        let map = match map {
            Ok(map) => map,
            Err(difference) => {
                return exec_err!(
                    "the files have different columns: '{}' does not fit '{}', {difference}",
                    other.file,
                    first.file
                );
            }
        };
        let found = kinds_of(other);
        for (kinds, position) in kinds.iter_mut().zip(&map.positions) {
            if let Some(found) = found.get(*position) {
                kinds.add(*found);
            }
        }
    }
    let fields = names.iter().zip(kinds);
    let fields = fields.map(|(name, kinds)| Field::new(name, kinds.data_type(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Ok(TableColumns { schema, has_header, detected_in, notes })
}

/// Checks that the values of no file say something else about its header than those of the file that tells it for all. A file with the
/// same first line has the same header.
///
/// # Errors
/// Some files have a header, and others have none.
fn check_headers(telling: &FileColumns, has_header: bool, files: &[FileColumns]) -> Result<()> {
    let texts =
        |file: &FileColumns| -> Vec<String> { file.first.iter().map(|value| value.text.clone()).collect() };
    let first = texts(telling);
    let differs = |file: &&FileColumns| {
        file.tells_header().is_some_and(|found| found != has_header) && texts(file) != first
    };
    let Some(other) = files.iter().find(differs) else { return Ok(()) };
    let (with, without) = if has_header { (telling, other) } else { (other, telling) };
    exec_err!(
        "the files have different headers: '{}' has one, and '{}' has none, by their values: read them as two tables, or set \
         the option header (--csv-header, or 'format.has_header') if that is wrong",
        with.file,
        without.file
    )
}

/// The columns of a file; `None` if it has no record.
async fn file_columns(
    store: &Arc<dyn ObjectStore>,
    object: &ObjectMeta,
    dialect: &CsvDialect,
    compression: CompressionTypeVariant,
    sample: u64,
    max_rows: usize,
) -> Result<Option<FileColumns>> {
    let mut input = Input::open(store, &object.location, 0, compression).await?;
    // The record is read as a header, and its values are added later if it is none.
    let dialect = &CsvDialect { has_header: true, ..dialect.clone() };
    let Some((mut first, reader)) = input.read_first_record(dialect).await? else { return Ok(None) };
    if let Some(regex) = &dialect.null_regex {
        let text = StringArray::from_iter_values(first.iter().map(|value| &value.text));
        // A regular expression that is not valid is an error of the first batch.
        if let Ok(values) = matching_as_null(&text, regex) {
            first.iter_mut().enumerate().for_each(|(index, value)| value.is_null = values.is_null(index));
        }
    }
    let columns = first.len();
    // Errors name the columns as a header would.
    let fields = first.iter().map(|value| Field::new(&value.text, DataType::Utf8, true));
    let (schema, map) = (Arc::new(Schema::new(fields.collect::<Vec<_>>())), ColumnMap::by_position(columns));
    let mut decoder = Decoder::new(reader, dialect, schema, &map, BATCH_ROWS, "", u64::MAX)
        .map_err(|message| input.error(&message))?;
    let mut kinds = vec![Kinds::default(); columns];
    let mut repeated = None;
    let (mut read, mut rows) = (0, 0);
    while rows < max_rows {
        let batch = match decoder.decode().map_err(|error| input.csv_error(&error))? {
            Decoded::Batch(batch) => batch,
            Decoded::End => break,
            Decoded::NeedsInput if read < sample => {
                match input.next().await? {
                    None => decoder.finish(),
                    Some(piece) => {
                        read += piece.len() as u64;
                        decoder.feed(&piece);
                    }
                }
                continue;
            }
            Decoded::NeedsInput => match decoder.flush().map_err(|error| input.csv_error(&error))? {
                Some(batch) => batch,
                None => break,
            },
        };
        let batch = batch.slice(0, batch.num_rows().min(max_rows - rows));
        rows += batch.num_rows();
        for ((kinds, column), value) in kinds.iter_mut().zip(batch.columns()).zip(&first) {
            kinds.add_values(column.as_string());
            if repeated.is_none() && !value.text.is_empty() && kinds.is_plain_text() {
                let is_repeated = column.as_string::<i32>().iter().flatten().any(|below| below == value.text);
                repeated = is_repeated.then(|| value.text.clone());
            }
        }
    }
    Ok(Some(FileColumns { file: input.name, first, kinds, has_rows: rows > 0, repeated }))
}
