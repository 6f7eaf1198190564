//! Values of a program with their types in NumPy's sense.

use warpframe::ir::Value;

use crate::dtype::DType;

/// A value of the program that is built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operand {
    /// A value of a NumPy type. Integers are in its range.
    Typed(Value, DType),
    /// A Python `int`, or a result of Python's integers only: an `i64`. It takes the type of the value that it is combined with.
    Int(Weak),
    /// A Python `float`, likewise: an `f64`.
    Float(Weak),
}

/// A value of a Python type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weak {
    /// The value.
    pub value: Value,
    /// The parameter that it is, if it is one.
    pub parameter: Option<usize>,
}

impl Operand {
    /// The type, or that of the values of a Python type that are combined with no other.
    pub fn dtype(self) -> DType {
        match self {
            Self::Typed(_, dtype) => dtype,
            Self::Int(_) => DType::Int64,
            Self::Float(_) => DType::Float64,
        }
    }

    /// Whether it has a Python type.
    pub fn is_weak(self) -> bool {
        !matches!(self, Self::Typed(..))
    }

    /// NumPy's `result_type` of two values.
    pub fn promote(self, other: Self) -> DType {
        match (self, other) {
            (Self::Typed(_, a), Self::Typed(_, b)) => a.promote(b),
            (Self::Typed(_, dtype), weak) | (weak, Self::Typed(_, dtype)) => match weak {
                Self::Float(_) if !dtype.is_float() => DType::Float64,
                _ if dtype == DType::Bool => weak.dtype(),
                _ => dtype,
            },
            (a, b) => a.dtype().promote(b.dtype()),
        }
    }
}

/// The type that a function is compiled for in the place of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterType {
    /// An array or a scalar of NumPy.
    Typed(DType),
    /// A Python `int`.
    Int,
    /// A Python `float`.
    Float,
}

impl ParameterType {
    /// The type of the program's input.
    pub fn dtype(self) -> DType {
        match self {
            Self::Typed(dtype) => dtype,
            Self::Int => DType::Int64,
            Self::Float => DType::Float64,
        }
    }
}
