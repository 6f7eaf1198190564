//! Columns of results as NumPy arrays. `_results.py` allocates the arrays, which are filled here.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::errors::arrow_error;
use crate::threads;

/// The NumPy dtype for an Arrow type; `str`, `bytes`, `Decimal` and `None` stand for arrays of Python objects. Nothing for
/// types that NumPy has no form of.
pub fn numpy_type(data_type: &DataType) -> Option<String> {
    let name = match data_type {
        DataType::Boolean => "bool",
        DataType::Int8 => "int8",
        DataType::Int16 => "int16",
        DataType::Int32 => "int32",
        DataType::Int64 => "int64",
        DataType::UInt8 => "uint8",
        DataType::UInt16 => "uint16",
        DataType::UInt32 => "uint32",
        DataType::UInt64 => "uint64",
        DataType::Float16 => "float16",
        DataType::Float32 => "float32",
        DataType::Float64 => "float64",
        DataType::Date32 => "datetime64[D]",
        DataType::Date64 => "datetime64[ms]",
        DataType::Timestamp(unit, _) => return Some(format!("datetime64[{}]", unit_name(*unit))),
        DataType::Time32(unit) | DataType::Time64(unit) | DataType::Duration(unit) => {
            return Some(format!("timedelta64[{}]", unit_name(*unit)));
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "str",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytes"
        }
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "Decimal",
        DataType::Null => "None",
        DataType::Dictionary(_, values) => return numpy_type(values),
        _ => return None,
    };
    Some(name.to_owned())
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

/// Copies the values of a column, chunk after chunk, to an array of bytes with the layout of [`numpy_type`]. Values that are
/// null are copied as they are.
///
/// # Errors
/// `ValueError`: the array has another length, or the column has no such layout.
pub fn copy_values(py: Python<'_>, chunks: &[ArrayRef], to: &Bound<'_, PyAny>) -> PyResult<()> {
    let rows: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    let others = threads::others(py, rows)?;
    write_bytes(py, to, |to| {
        let width = to.len().checked_div(rows).unwrap_or_default();
        let (mut parts, mut rest) = (Vec::with_capacity(chunks.len()), to);
        for chunk in chunks {
            let (part, behind) = split(std::mem::take(&mut rest), chunk.len() * width)?;
            parts.push((chunk, part));
            rest = behind;
        }
        finished(rest)?;
        threads::map(others.as_deref(), parts.into_iter(), |(chunk, part)| copy_chunk(chunk, part))?;
        Ok(())
    })
}

/// Writes a byte per value of a column to an array: 1 where it is null, otherwise 0.
///
/// # Errors
/// `ValueError`: the array has another length.
pub fn copy_nulls(py: Python<'_>, chunks: &[ArrayRef], to: &Bound<'_, PyAny>) -> PyResult<()> {
    write_bytes(py, to, |mut to| {
        for chunk in chunks {
            let (now, rest) = split(to, chunk.len())?;
            match chunk.logical_nulls() {
                None => now.fill(0),
                Some(nulls) => {
                    now.iter_mut().zip(nulls.iter()).for_each(|(to, valid)| *to = u8::from(!valid));
                }
            }
            to = rest;
        }
        finished(to)
    })
}

/// The texts of a column; null is `None`.
///
/// # Errors
/// The column does not hold texts.
pub fn texts<'py>(py: Python<'py>, chunks: &[ArrayRef]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for chunk in chunks {
        let chunk = cast(chunk, &DataType::LargeUtf8).map_err(arrow_error)?;
        for text in chunk.as_string::<i64>() {
            list.append(text)?;
        }
    }
    Ok(list)
}

/// The byte strings of a column; null is `None`.
///
/// # Errors
/// The column does not hold byte strings.
pub fn byte_strings<'py>(py: Python<'py>, chunks: &[ArrayRef]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for chunk in chunks {
        let chunk = cast(chunk, &DataType::LargeBinary).map_err(arrow_error)?;
        for bytes in chunk.as_binary::<i64>() {
            list.append(bytes.map(|bytes| PyBytes::new(py, bytes)))?;
        }
    }
    Ok(list)
}

/// The values of a column as texts, as SQL shows them; null is `None`.
///
/// # Errors
/// A value cannot be shown.
pub fn shown<'py>(py: Python<'py>, chunks: &[ArrayRef]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    let options = FormatOptions::default();
    for chunk in chunks {
        let formatter = ArrayFormatter::try_new(chunk.as_ref(), &options).map_err(arrow_error)?;
        let nulls = chunk.logical_nulls();
        for row in 0..chunk.len() {
            let text = match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                true => None,
                false => Some(formatter.value(row).try_to_string().map_err(arrow_error)?),
            };
            list.append(text)?;
        }
    }
    Ok(list)
}

/// Writes to the memory of a contiguous array of bytes without the GIL.
fn write_bytes(
    py: Python<'_>,
    to: &Bound<'_, PyAny>,
    write: impl FnOnce(&mut [u8]) -> Result<(), ArrowError> + Send,
) -> PyResult<()> {
    let memory = PyBuffer::<u8>::get(to)?;
    if memory.readonly() || !memory.is_c_contiguous() {
        return Err(PyValueError::new_err("the array is not contiguous or cannot be written"));
    }
    if memory.len_bytes() == 0 {
        return write(&mut []).map_err(arrow_error);
    }
    // SAFETY: the memory is contiguous and writable, and `memory` keeps it. It is that of an array which the calling function
    // has allocated and nothing else refers to.
    let bytes = unsafe { std::slice::from_raw_parts_mut(memory.buf_ptr().cast::<u8>(), memory.len_bytes()) };
    py.detach(|| write(bytes)).map_err(arrow_error)
}

/// Copies the values of a chunk to memory of their size.
fn copy_chunk(chunk: &ArrayRef, to: &mut [u8]) -> Result<(), ArrowError> {
    let chunk = storage(chunk)?;
    let data = chunk.to_data();
    let values = data.buffers().first().ok_or_else(|| no_layout(chunk.data_type()))?;
    if chunk.data_type() == &DataType::Boolean {
        let (now, rest) = split(to, chunk.len())?;
        now.iter_mut().zip(chunk.as_boolean().values().iter()).for_each(|(to, value)| *to = u8::from(value));
        return finished(rest);
    }
    let width = chunk.data_type().primitive_width().ok_or_else(|| no_layout(chunk.data_type()))?;
    let (now, rest) = split(to, chunk.len() * width)?;
    let begin = data.offset() * width;
    now.copy_from_slice(&values[begin..begin + chunk.len() * width]);
    finished(rest)
}

/// The chunk as an array of numbers or booleans that are stored as NumPy stores them: times are 64-bit integers.
fn storage(chunk: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match chunk.data_type() {
        DataType::Dictionary(_, values) => storage(&cast(chunk, values)?),
        DataType::Date32 | DataType::Time32(_) => cast(&cast(chunk, &DataType::Int32)?, &DataType::Int64),
        DataType::Date64 | DataType::Timestamp(..) | DataType::Time64(_) | DataType::Duration(_) => {
            cast(chunk, &DataType::Int64)
        }
        _ => Ok(ArrayRef::clone(chunk)),
    }
}

fn no_layout(data_type: &DataType) -> ArrowError {
    ArrowError::InvalidArgumentError(format!("{data_type} has no NumPy type"))
}

fn split(bytes: &mut [u8], at: usize) -> Result<(&mut [u8], &mut [u8]), ArrowError> {
    bytes.split_at_mut_checked(at).ok_or_else(other_length)
}

fn finished(rest: &[u8]) -> Result<(), ArrowError> {
    if rest.is_empty() { Ok(()) } else { Err(other_length()) }
}

fn other_length() -> ArrowError {
    ArrowError::InvalidArgumentError("the array has another length than the column".to_owned())
}
