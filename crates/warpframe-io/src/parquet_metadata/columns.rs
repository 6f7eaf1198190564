//! What the tables are made of: the footers of files, and columns of texts and numbers.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

/// The footer of a file.
pub struct Footer {
    /// The path or URL.
    pub file: PathBuf,
    /// The size of the file in bytes.
    pub size: u64,
    pub metadata: ArrowReaderMetadata,
}

/// A column of texts.
pub fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

/// A column of numbers.
pub fn numbers(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}
