//! The types of values in programs, and their relation to Arrow types.

use std::fmt;

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

/// The type of a value of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ScalarType {
    /// `bool`
    Bool,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `f32`
    F32,
    /// `f64`
    F64,
}

impl ScalarType {
    /// All types.
    pub const ALL: [Self; 5] = [Self::Bool, Self::I32, Self::I64, Self::F32, Self::F64];

    /// The type that the values of an Arrow type have in a program; `None` for Arrow types without one.
    ///
    /// Integers of 8 and 16 bits are `i32`, and `UInt32` is `i64`. `UInt64` is `f64`, rounded to nearest, because no
    /// integer type of programs has its range; it is a type of inputs only. Dates, times, timestamps and durations are
    /// the integers that represent them.
    pub fn of(data_type: &DataType) -> Option<Self> {
        use DataType::*;
        Some(match data_type {
            Boolean => Self::Bool,
            Int8 | Int16 | UInt8 | UInt16 | Int32 | Date32 | Time32(_) => Self::I32,
            UInt32 | Int64 | Date64 | Time64(_) | Timestamp(..) | Duration(_) => Self::I64,
            Float32 => Self::F32,
            UInt64 | Float64 => Self::F64,
            _ => return None,
        })
    }

    /// The Arrow type of an output without another logical type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::I32 => DataType::Int32,
            Self::I64 => DataType::Int64,
            Self::F32 => DataType::Float32,
            Self::F64 => DataType::Float64,
        }
    }

    /// Whether it is `f32` or `f64`.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// Whether it is `i32` or `i64`.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::I32 | Self::I64)
    }

    /// The name of the Rust type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }
}

impl fmt::Display for ScalarType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
