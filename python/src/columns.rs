//! The arguments of an evaluation, from which arrays of a chunk of rows are taken.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, make_array};
use arrow::buffer::NullBuffer;

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
    /// Values, and whether each is null.
    Masked(Box<Column>, Box<Column>),
    /// One value for all rows, as an array of at least [`CHUNK_ROWS`] equal values, or as many as there are rows.
    Repeated(ArrayRef),
}

impl Column {
    /// The values of some rows.
    pub fn rows(&self, rows: Range<usize>) -> ArrayRef {
        match self {
            Self::Array(array) => array.slice(rows.start, rows.len()),
            Self::Strided(strided) => strided.copy(rows.start, rows.len()),
            Self::Masked(values, mask) => {
                let (values, mask) = (values.rows(rows.clone()), mask.rows(rows));
                let nulls = mask.as_boolean_opt().map(|mask| NullBuffer::new(!mask.values()));
                let data = values.to_data().into_builder().nulls(nulls).build();
                data.map_or(values, make_array)
            }
            Self::Repeated(array) if array.len() >= rows.len() => array.slice(0, rows.len()),
            // Chunks for a GPU are larger.
            Self::Repeated(array) => {
                let data = array.slice(0, 1);
                let indices = UInt32Array::from(vec![0; rows.len()]);
                arrow::compute::take(&data, &indices, None).unwrap_or(data)
            }
        }
    }
}
