//! Columns of NumPy arrays. `_sources.py` chooses the Arrow type and makes the arrays contiguous.

use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow::array::{ArrayDataBuilder, BinaryArray, StringArray, make_array};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::arrow_stream::ArrowArray;
use crate::errors::arrow_error;

/// A column over the memory of NumPy arrays, which it keeps.
///
/// `data_type` is the name of an Arrow type with one buffer, `values` a contiguous array of bytes with that buffer, and
/// `validity` one with a bit per row, which is set where the value is not null.
///
/// # Errors
/// `ValueError`: there is no such type, or a buffer is too short.
#[pyfunction]
pub fn array_from_buffers(
    data_type: &str,
    rows: usize,
    values: &Bound<'_, PyAny>,
    validity: Option<&Bound<'_, PyAny>>,
) -> PyResult<ArrowArray> {
    let data_type: DataType = data_type.parse().map_err(arrow_error)?;
    if !data_type.is_primitive() && data_type != DataType::Boolean {
        return Err(PyValueError::new_err(format!("{data_type} has more than one buffer")));
    }
    let data = ArrayDataBuilder::new(data_type)
        .len(rows)
        .add_buffer(foreign_buffer(values)?)
        .null_bit_buffer(validity.map(foreign_buffer).transpose()?)
        .align_buffers(true)
        .build();
    Ok(ArrowArray::new(make_array(data.map_err(arrow_error)?)))
}

/// A column of texts; `None` is null.
#[pyfunction]
pub fn array_from_texts(texts: Vec<Option<String>>) -> ArrowArray {
    ArrowArray::new(Arc::new(StringArray::from(texts)))
}

/// A column of byte strings; `None` is null.
#[pyfunction]
pub fn array_from_bytes(values: Vec<Option<Vec<u8>>>) -> ArrowArray {
    let values = values.iter().map(|value| value.as_deref());
    ArrowArray::new(Arc::new(BinaryArray::from_iter(values)))
}

/// The memory of a contiguous array of bytes. It lives as long as the buffer.
fn foreign_buffer(object: &Bound<'_, PyAny>) -> PyResult<Buffer> {
    let memory = PyBuffer::<u8>::get(object)?;
    if !memory.is_c_contiguous() {
        return Err(PyValueError::new_err("the array is not contiguous"));
    }
    let Some(pointer) = NonNull::new(memory.buf_ptr().cast::<u8>()) else {
        return Ok(Buffer::default());
    };
    let owner = Arc::new(AssertUnwindSafe(object.clone().unbind()));
    // SAFETY: the memory is that of an array which neither moves nor resizes it while there are references to it; `owner` is
    // one, and is released with the buffer. Without the GIL, pyo3 postpones the release.
    Ok(unsafe { Buffer::from_custom_allocation(pointer, memory.len_bytes(), owner) })
}
