//! The columns of CSV files, from their headers and from the values at their beginning.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::common::{Result, exec_err};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore};

use super::column_map::ColumnMap;
use super::decoder::{Decoded, Decoder};
use super::dialect::CsvDialect;
use super::input::Input;
use super::type_inference::Kinds;

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
    names: Vec<String>,
    kinds: Vec<Kinds>,
}

/// Finds the columns of files that have the same ones. The first file settles their order. Types fit all values of the
/// first 64 MiB, or of the first `max_rows` records of each file; with 0 records, all are text. Files without a record count
/// only if all are such files.
///
/// # Errors
/// A file cannot be read, the files have different columns, or two columns of one name.
pub(super) async fn infer_schema(
    store: &Arc<dyn ObjectStore>,
    objects: &[ObjectMeta],
    dialect: &CsvDialect,
    compression: CompressionTypeVariant,
    max_rows: Option<usize>,
) -> Result<SchemaRef> {
    let sample = (SAMPLE_BYTES / (objects.len() as u64).max(1)).max(MIN_SAMPLE_BYTES);
    let max_rows = max_rows.unwrap_or(usize::MAX);
    let files = stream::iter(objects.to_vec())
        .map(|object| {
            let (store, dialect) = (Arc::clone(store), dialect.clone());
            async move { file_columns(&store, &object, &dialect, compression, sample, max_rows).await }
        })
        .buffered(CONCURRENT_READS);
    let files: Vec<_> = files.try_filter_map(|file| async { Ok(file) }).try_collect().await?;
    let Some((first, others)) = files.split_first() else { return Ok(Arc::new(Schema::empty())) };
    let mut kinds = first.kinds.clone();
    let text = |name: &String| Field::new(name, DataType::Utf8, true);
    let names = Schema::new(first.names.iter().map(text).collect::<Vec<_>>());
    for other in others {
        let map = match dialect.has_header {
            true => ColumnMap::by_name(&other.names, &names, false),
            false if other.names.len() != first.names.len() => {
                Err(format!("it has {} columns", other.names.len()))
            }
            false => Ok(ColumnMap::by_position(first.names.len())),
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
        for (kinds, position) in kinds.iter_mut().zip(&map.positions) {
            if let Some(found) = other.kinds.get(*position) {
                kinds.add(*found);
            }
        }
    }
    let fields = first.names.iter().zip(kinds);
    let fields = fields.map(|(name, kinds)| Field::new(name, kinds.data_type(), true));
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
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
    let Some((mut names, reader)) = input.read_first_record(dialect).await? else { return Ok(None) };
    if !dialect.has_header {
        names = (1..=names.len()).map(|number| format!("column_{number}")).collect();
    }
    if let Some(position) = (0..names.len()).find(|position| names[..*position].contains(&names[*position])) {
        let name = &names[position];
        return Err(input.error(&format_args!(
            "its header has two columns '{name}': declare the columns by other names with CREATE EXTERNAL TABLE"
        )));
    }
    let fields: Vec<_> = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let (schema, map) = (Arc::new(Schema::new(fields)), ColumnMap::by_position(names.len()));
    let mut decoder = Decoder::new(reader, dialect, schema, &map, BATCH_ROWS, "", u64::MAX)
        .map_err(|message| input.error(&message))?;
    let mut kinds = vec![Kinds::default(); names.len()];
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
        for (kinds, column) in kinds.iter_mut().zip(batch.columns()) {
            kinds.add_values(column.as_string());
        }
    }
    Ok(Some(FileColumns { file: input.name, names, kinds }))
}
