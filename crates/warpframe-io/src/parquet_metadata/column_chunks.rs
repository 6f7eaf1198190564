//! A row for each column of each row group.

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::columns::{Footer, numbers, texts};

pub const COLUMNS: [&str; 23] = [
    "filename",
    "row_group_id",
    "row_group_num_rows",
    "row_group_num_columns",
    "row_group_bytes",
    "column_id",
    "file_offset",
    "num_values",
    "path_in_schema",
    "type",
    "stats_min",
    "stats_max",
    "stats_null_count",
    "stats_distinct_count",
    "stats_min_value",
    "stats_max_value",
    "compression",
    "encodings",
    "index_page_offset",
    "dictionary_page_offset",
    "data_page_offset",
    "total_compressed_size",
    "total_uncompressed_size",
];

pub const TEXTS: [&str; 9] = [
    "filename",
    "path_in_schema",
    "type",
    "stats_min",
    "stats_max",
    "stats_min_value",
    "stats_max_value",
    "compression",
    "encodings",
];

/// A column of a row group.
struct Chunk<'a> {
    file: String,
    group_number: usize,
    group: &'a RowGroupMetaData,
    column_number: usize,
    column: &'a ColumnChunkMetaData,
}

/// The values of [`COLUMNS`].
///
/// # Errors
/// The minima or maxima of a column cannot be converted to its type.
pub fn columns(footers: &[Footer]) -> Result<Vec<ArrayRef>> {
    let (mut chunks, mut minima, mut maxima) = (Vec::new(), Vec::new(), Vec::new());
    for footer in footers {
        let metadata = footer.metadata.metadata();
        for (group_number, group) in metadata.row_groups().iter().enumerate() {
            for (column_number, column) in group.columns().iter().enumerate() {
                let file = footer.file.to_string_lossy().into_owned();
                chunks.push(Chunk { file, group_number, group, column_number, column });
            }
        }
        let [smallest, greatest] = bounds(metadata, footer.metadata.schema())?;
        minima.extend(smallest);
        maxima.extend(greatest);
    }
    let text = |value: fn(&Chunk) -> String| texts(chunks.iter().map(|chunk| Some(value(chunk))));
    let number = |value: fn(&Chunk) -> i64| numbers(chunks.iter().map(|chunk| Some(value(chunk))));
    let optional = |value: fn(&ColumnChunkMetaData) -> Option<i64>| {
        numbers(chunks.iter().map(|chunk| value(chunk.column)))
    };
    let statistic = |value: fn(&parquet::file::statistics::Statistics) -> Option<u64>| {
        let value = |chunk: &Chunk| chunk.column.statistics().and_then(value).map(|count| count as i64);
        numbers(chunks.iter().map(value))
    };
    let (minima, maxima) = (texts(minima), texts(maxima));
    Ok(vec![
        text(|chunk| chunk.file.clone()),
        number(|chunk| chunk.group_number as i64),
        number(|chunk| chunk.group.num_rows()),
        number(|chunk| chunk.group.num_columns() as i64),
        number(|chunk| chunk.group.total_byte_size()),
        number(|chunk| chunk.column_number as i64),
        number(|chunk| chunk.column.file_offset()),
        number(|chunk| chunk.column.num_values()),
        text(|chunk| chunk.column.column_path().string()),
        text(|chunk| chunk.column.column_type().to_string()),
        minima.clone(),
        maxima.clone(),
        statistic(|statistics| statistics.null_count_opt()),
        statistic(|statistics| statistics.distinct_count_opt()),
        minima,
        maxima,
        text(|chunk| format!("{:?}", chunk.column.compression_codec())),
        text(|chunk| {
            let encodings: Vec<_> = chunk.column.encodings().map(|encoding| encoding.to_string()).collect();
            encodings.join(", ")
        }),
        optional(ColumnChunkMetaData::index_page_offset),
        optional(ColumnChunkMetaData::dictionary_page_offset),
        number(|chunk| chunk.column.data_page_offset()),
        number(|chunk| chunk.column.compressed_size()),
        number(|chunk| chunk.column.uncompressed_size()),
    ])
}

/// The minima and the maxima of all columns of all row groups in the order of the rows, as texts of the types that the columns
/// have in tables.
fn bounds(metadata: &ParquetMetaData, schema: &Schema) -> Result<[Vec<Option<String>>; 2]> {
    let parquet_schema = metadata.file_metadata().schema_descr();
    let columns = parquet_schema.num_columns();
    let mut leaves = Vec::new();
    schema.fields().iter().for_each(|field| collect_leaves(field, &mut leaves));
    let groups = metadata.row_groups();
    let mut found = [0, 1].map(|_| vec![None; groups.len() * columns]);
    if leaves.len() != columns {
        return Ok(found);
    }
    for (column, field) in leaves.into_iter().enumerate() {
        let converter = StatisticsConverter::from_column_index(column, field, parquet_schema)?;
        let arrays = [converter.row_group_mins(groups)?, converter.row_group_maxes(groups)?];
        for (array, found) in arrays.iter().zip(&mut found) {
            for (group, value) in as_texts(array)?.iter().enumerate() {
                found[group * columns + column] = value.map(str::to_owned);
            }
        }
    }
    Ok(found)
}

/// The fields without children below a field.
fn collect_leaves<'a>(field: &'a Field, leaves: &mut Vec<&'a Field>) {
    match field.data_type() {
        DataType::Struct(children) => children.iter().for_each(|child| collect_leaves(child, leaves)),
        DataType::List(child)
        | DataType::LargeList(child)
        | DataType::ListView(child)
        | DataType::LargeListView(child)
        | DataType::FixedSizeList(child, _)
        | DataType::Map(child, _) => collect_leaves(child, leaves),
        _ => leaves.push(field),
    }
}

/// Values as texts; bytes that are no text are null.
fn as_texts(array: &ArrayRef) -> Result<StringArray> {
    let texts = cast(array, &DataType::Utf8)?;
    Ok(texts.as_string::<i32>().clone())
}
