//! Dynamically typed scalar values of the interpreter.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::error::{Error, Result};
use super::instruction::Precision;

/// A dynamically typed value of a program in one row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Double(f64),
    Single(f32),
}

impl Scalar {
    /// Reads an element of an input array. Numbers are converted to a precision, rounded to nearest.
    pub fn read(array: &ArrayRef, row: usize, precision: Precision) -> Result<Self> {
        macro_rules! number {
            ($type:ty) => {{
                let value = array.as_primitive::<$type>().value(row);
                match precision {
                    Precision::Double => Self::Double(value as f64),
                    Precision::Single => Self::Single(value as f32),
                }
            }};
        }
        if array.is_null(row) {
            return Ok(Self::Null);
        }
        Ok(match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean().value(row)),
            DataType::Float64 => number!(Float64Type),
            DataType::Float32 => number!(Float32Type),
            DataType::Int8 => number!(Int8Type),
            DataType::Int16 => number!(Int16Type),
            DataType::Int32 => number!(Int32Type),
            DataType::Int64 => number!(Int64Type),
            DataType::UInt8 => number!(UInt8Type),
            DataType::UInt16 => number!(UInt16Type),
            DataType::UInt32 => number!(UInt32Type),
            DataType::UInt64 => number!(UInt64Type),
            other => return Err(Error::InvalidInput(format!("a program has no inputs of type {other}"))),
        })
    }

    /// The number of either precision, or `None` for null.
    pub fn number(self) -> Result<Option<f64>> {
        match self {
            Self::Null => Ok(None),
            Self::Double(number) => Ok(Some(number)),
            Self::Single(number) => Ok(Some(number.into())),
            Self::Bool(_) => Err(unexpected("a number", self)),
        }
    }

    /// The number of double precision, or `None` for null.
    pub fn double(self) -> Result<Option<f64>> {
        match self {
            Self::Null => Ok(None),
            Self::Double(number) => Ok(Some(number)),
            other => Err(unexpected("a number of double precision", other)),
        }
    }

    /// The number of single precision, or `None` for null.
    pub fn single(self) -> Result<Option<f32>> {
        match self {
            Self::Null => Ok(None),
            Self::Single(number) => Ok(Some(number)),
            other => Err(unexpected("a number of single precision", other)),
        }
    }

    /// The Boolean, or `None` for null.
    pub fn boolean(self) -> Result<Option<bool>> {
        match self {
            Self::Null => Ok(None),
            Self::Bool(value) => Ok(Some(value)),
            other => Err(unexpected("a Boolean", other)),
        }
    }
}

impl From<Option<bool>> for Scalar {
    fn from(value: Option<bool>) -> Self {
        value.map_or(Self::Null, Self::Bool)
    }
}

fn unexpected(wanted: &str, found: Scalar) -> Error {
    Error::InvalidProgram(format!("{found:?} is not {wanted}"))
}
