//! Input columns in host memory, in the format that kernels read.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use warpframe_ir::error::Error;

/// The values of a primitive array as bytes, and the size of a value in bytes. `None` for other arrays.
pub(super) fn primitive_bytes(data: &ArrayData) -> Option<(Buffer, usize)> {
    let width = data.data_type().primitive_width()?;
    Some((data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width), width))
}

/// An input column in host memory.
pub(super) struct InputColumn {
    values: Values,
    validity: Option<BooleanBuffer>,
}

/// The values of a column.
enum Values {
    /// Numbers, and the size of one in bytes.
    Primitive(Buffer, usize),
    /// Booleans.
    Bitmap(BooleanBuffer),
}

impl InputColumn {
    /// The column of an array.
    ///
    /// # Errors
    /// Programs do not support the type.
    pub fn new(array: &ArrayRef) -> Result<Self, Error> {
        let values = match array.data_type() {
            DataType::Boolean => Values::Bitmap(array.as_boolean().values().clone()),
            _ => match primitive_bytes(&array.to_data()) {
                Some((values, width)) => Values::Primitive(values, width),
                None => {
                    let data_type = array.data_type();
                    return Err(Error::InvalidInput(format!("a program has no inputs of type {data_type}")));
                }
            },
        };
        Ok(Self { values, validity: array.nulls().map(|nulls| nulls.inner().clone()) })
    }

    /// The values of rows.
    pub fn values(&self, rows: &Range<usize>) -> Buffer {
        match &self.values {
            Values::Primitive(values, width) => {
                values.slice_with_length(rows.start * width, rows.len() * width)
            }
            Values::Bitmap(bits) => bits.slice(rows.start, rows.len()).sliced(),
        }
    }

    /// The validity bitmap of rows; `None` if the array has no nulls.
    pub fn validity(&self, rows: &Range<usize>) -> Option<Buffer> {
        Some(self.validity.as_ref()?.slice(rows.start, rows.len()).sliced())
    }
}
