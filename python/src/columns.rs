//! The arguments of an evaluation, from which arrays of a chunk of rows are taken.

use std::ops::Range;

use arrow::array::{Array, ArrayRef};

use crate::strided::Strided;

/// The rows that are evaluated at a time: their arrays fit into the cache of a core.
pub const CHUNK_ROWS: usize = 16 * 1024;

/// An argument.
#[derive(Debug, Clone)]
pub enum Column {
    /// A value for each row.
    Array(ArrayRef),
    /// Values that are copied for each chunk.
    Strided(Strided),
    /// One value for all rows, as an array of at least [`CHUNK_ROWS`] equal values, or as many as there are rows.
    Repeated(ArrayRef),
}

impl Column {
    /// The values of some rows.
    pub fn rows(&self, rows: Range<usize>) -> ArrayRef {
        match self {
            Self::Array(array) => array.slice(rows.start, rows.len()),
            Self::Strided(strided) => strided.copy(rows.start, rows.len()),
            Self::Repeated(array) if array.len() == rows.len() => array.clone(),
            Self::Repeated(array) if array.len() > rows.len() => array.slice(0, rows.len()),
            // Chunks for a GPU are larger.
            Self::Repeated(array) => {
                let data = array.slice(0, 1);
                let indices = arrow::array::UInt32Array::from(vec![0; rows.len()]);
                arrow::compute::take(&data, &indices, None).unwrap_or(data)
            }
        }
    }
}
