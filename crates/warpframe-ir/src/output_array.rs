//! Output arrays: the logical types of integers.

use std::mem::MaybeUninit;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, make_array,
};
use arrow_buffer::{NullBuffer, NullBufferBuilder};
use arrow_schema::DataType;

use super::error::{Error, Result};
use super::scalar::Scalar;
use super::scalar_type::ScalarType;

/// The array of values of a type, of the Arrow type of their own type. Values of other types become nulls; the verifier excludes
/// them from outputs.
pub fn array_of_scalars(
    scalar_type: ScalarType,
    values: impl IntoIterator<Item = Option<Scalar>>,
) -> ArrayRef {
    macro_rules! collect {
        ($scalar:ident, $array:ty) => {{
            let values = values.into_iter().map(|value| match value {
                Some(Scalar::$scalar(x)) => Some(x),
                _ => None,
            });
            Arc::new(values.collect::<$array>())
        }};
    }
    match scalar_type {
        ScalarType::Bool => collect!(Bool, BooleanArray),
        ScalarType::I32 => collect!(I32, Int32Array),
        ScalarType::I64 => collect!(I64, Int64Array),
        ScalarType::F32 => collect!(F32, Float32Array),
        ScalarType::F64 => collect!(F64, Float64Array),
    }
}

/// Whether [`with_logical_type`] truncates values to an Arrow type.
pub fn is_truncating(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(data_type, Int8 | Int16 | UInt8 | UInt16 | UInt32)
}

/// An array of a value's own type, with the Arrow type of an output: integers are truncated to 8, 16 and 32 bits, and become
/// dates, times, timestamps and durations without a copy.
///
/// # Errors
/// [`Error::InvalidProgram`]: the type is none of an output with such values. The verifier excludes it.
pub fn with_logical_type(array: ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    macro_rules! narrow {
        ($from:ty, $to:ty, $native:ty) => {
            Arc::new(array.as_primitive::<$from>().unary::<_, $to>(|x| x as $native))
        };
    }
    if array.data_type() == data_type {
        return Ok(array);
    }
    Ok(match (array.data_type(), data_type) {
        (DataType::Int32, DataType::Int8) => narrow!(Int32Type, Int8Type, i8),
        (DataType::Int32, DataType::Int16) => narrow!(Int32Type, Int16Type, i16),
        (DataType::Int32, DataType::UInt8) => narrow!(Int32Type, UInt8Type, u8),
        (DataType::Int32, DataType::UInt16) => narrow!(Int32Type, UInt16Type, u16),
        (DataType::Int64, DataType::UInt32) => narrow!(Int64Type, UInt32Type, u32),
        _ => {
            let data = array.to_data().into_builder().data_type(data_type.clone());
            make_array(data.build().map_err(|error| Error::InvalidProgram(error.to_string()))?)
        }
    })
}

/// The nulls of the parts of an array, one after the other, each with its number of rows; `None` if no part has any.
pub fn concat_nulls(parts: &[(Option<NullBuffer>, usize)]) -> Option<NullBuffer> {
    if parts.iter().all(|(nulls, _)| nulls.is_none()) {
        return None;
    }
    let mut builder = NullBufferBuilder::new(parts.iter().map(|(_, rows)| rows).sum());
    for (nulls, rows) in parts {
        match nulls {
            Some(nulls) => builder.append_buffer(nulls),
            None => builder.append_n_non_nulls(*rows),
        }
    }
    builder.finish()
}

/// Writes the values of an array of numbers or Booleans one after the other, each with the bytes of its type, and Booleans as
/// bytes of 0 and 1, and returns the nulls. What is written for a null is not defined, but initialized.
///
/// # Errors
/// [`Error::InvalidInput`]: the memory has another size than the values, or the array has no such values.
pub fn write_values(array: &ArrayRef, target: &mut [MaybeUninit<u8>]) -> Result<Option<NullBuffer>> {
    let data = array.to_data();
    let nulls = array.nulls().cloned();
    if let Some(bools) = array.as_boolean_opt() {
        if target.len() != bools.len() {
            return Err(Error::InvalidInput(format!(
                "{} bytes are not {} values",
                target.len(),
                bools.len()
            )));
        }
        for (byte, value) in target.iter_mut().zip(bools.values()) {
            byte.write(u8::from(value));
        }
        return Ok(nulls);
    }
    let Some(width) = array.data_type().primitive_width() else {
        return Err(Error::InvalidInput(format!("values of type {} cannot be written", array.data_type())));
    };
    let bytes = data.buffers()[0].as_slice().get(data.offset() * width..).unwrap_or(&[]);
    match bytes.get(..target.len()) {
        Some(bytes) if target.len() == array.len() * width => {
            target.write_copy_of_slice(bytes);
            Ok(nulls)
        }
        _ => Err(Error::InvalidInput(format!(
            "{} bytes are not {} values of {width} bytes",
            target.len(),
            array.len()
        ))),
    }
}
