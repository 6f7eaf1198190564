//! The elements of input arrays as scalars.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::error::{Error, Result};
use super::scalar::Scalar;
use super::scalar_type::ScalarType;

impl Scalar {
    /// Reads an element of an input array, with the type that [`ScalarType::of`] names; `None` if it is null.
    ///
    /// # Errors
    /// [`Error::InvalidInput`]: programs have no inputs of the array's type.
    pub fn read(array: &ArrayRef, row: usize) -> Result<Option<Self>> {
        macro_rules! of {
            ($type:ty, $scalar:ident) => {
                Self::$scalar(array.as_primitive::<$type>().value(row) as _)
            };
        }
        if array.is_null(row) {
            return Ok(None);
        }
        Ok(Some(match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean().value(row)),
            DataType::Float64 => of!(Float64Type, F64),
            DataType::Float32 => of!(Float32Type, F32),
            DataType::Int8 => of!(Int8Type, I32),
            DataType::Int16 => of!(Int16Type, I32),
            DataType::Int32 => of!(Int32Type, I32),
            DataType::Int64 => of!(Int64Type, I64),
            DataType::UInt8 => of!(UInt8Type, I32),
            DataType::UInt16 => of!(UInt16Type, I32),
            DataType::UInt32 => of!(UInt32Type, I64),
            DataType::UInt64 => of!(UInt64Type, F64),
            DataType::Date32 => of!(Date32Type, I32),
            DataType::Date64 => of!(Date64Type, I64),
            // Times, timestamps and durations of all units.
            other => match (ScalarType::of(other), array.to_data().buffers()) {
                (Some(ScalarType::I32), [values]) => {
                    Self::I32(values.typed_data::<i32>()[array.offset() + row])
                }
                (Some(ScalarType::I64), [values]) => {
                    Self::I64(values.typed_data::<i64>()[array.offset() + row])
                }
                _ => return Err(Error::InvalidInput(format!("a program has no inputs of type {other}"))),
            },
        }))
    }
}
