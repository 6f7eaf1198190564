//! A row for each file.

use arrow::array::ArrayRef;
use parquet::file::metadata::ParquetMetaData;

use super::columns::{Footer, numbers, texts};

pub const COLUMNS: [&str; 7] =
    ["filename", "created_by", "num_rows", "num_row_groups", "num_columns", "format_version", "file_size"];

pub const TEXTS: [&str; 2] = ["filename", "created_by"];

/// The values of [`COLUMNS`].
pub fn columns(footers: &[Footer]) -> Vec<ArrayRef> {
    let number = |value: fn(&ParquetMetaData) -> i64| {
        numbers(footers.iter().map(|footer| Some(value(footer.metadata.metadata()))))
    };
    let created_by = footers
        .iter()
        .map(|footer| footer.metadata.metadata().file_metadata().created_by().map(str::to_owned));
    vec![
        texts(footers.iter().map(|footer| Some(footer.file.to_string_lossy()))),
        texts(created_by),
        number(|footer| footer.row_groups().iter().map(|group| group.num_rows()).sum()),
        number(|footer| footer.num_row_groups() as i64),
        number(|footer| footer.file_metadata().schema_descr().num_columns() as i64),
        number(|footer| footer.file_metadata().version().into()),
        numbers(footers.iter().map(|footer| Some(footer.size as i64))),
    ]
}
