//! Scalars: constants of programs, and the dynamically typed values of the interpreter.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::scalar_type::ScalarType;

/// A scalar that is not null. Two scalars are equal if their types and their bits are.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(from = "Bits", into = "Bits")]
pub enum Scalar {
    /// A `bool`.
    Bool(bool),
    /// An `i32`.
    I32(i32),
    /// An `i64`.
    I64(i64),
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
}

/// The serialized form, also of NaN and infinities, and the identity of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Bits {
    Bool(bool),
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
}

impl From<Scalar> for Bits {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Bool(x) => Self::Bool(x),
            Scalar::I32(x) => Self::I32(x),
            Scalar::I64(x) => Self::I64(x),
            Scalar::F32(x) => Self::F32(x.to_bits()),
            Scalar::F64(x) => Self::F64(x.to_bits()),
        }
    }
}

impl From<Bits> for Scalar {
    fn from(bits: Bits) -> Self {
        match bits {
            Bits::Bool(x) => Self::Bool(x),
            Bits::I32(x) => Self::I32(x),
            Bits::I64(x) => Self::I64(x),
            Bits::F32(x) => Self::F32(f32::from_bits(x)),
            Bits::F64(x) => Self::F64(f64::from_bits(x)),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        Bits::from(*self) == Bits::from(*other)
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Bits::from(*self).hash(state);
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(x) => x.fmt(f),
            Self::I32(x) => x.fmt(f),
            Self::I64(x) => x.fmt(f),
            // As Arrow's messages: `1e300`, and `2.0` with its point.
            Self::F32(x) => fmt::Debug::fmt(x, f),
            Self::F64(x) => fmt::Debug::fmt(x, f),
        }
    }
}

impl Scalar {
    /// A number, converted to a type as [`cast`](Self::cast) does.
    pub fn of_float(scalar_type: ScalarType, number: f64) -> Self {
        Self::F64(number).cast(scalar_type)
    }

    /// An integer, converted to a type as [`cast`](Self::cast) does.
    pub fn of_integer(scalar_type: ScalarType, number: i64) -> Self {
        Self::I64(number).cast(scalar_type)
    }

    /// The type.
    pub fn scalar_type(self) -> ScalarType {
        match self {
            Self::Bool(_) => ScalarType::Bool,
            Self::I32(_) => ScalarType::I32,
            Self::I64(_) => ScalarType::I64,
            Self::F32(_) => ScalarType::F32,
            Self::F64(_) => ScalarType::F64,
        }
    }

    /// The bits as an integer: those of the types of 32 bits are sign-extended, and Booleans are 0 and 1.
    pub fn bits(self) -> i64 {
        match self {
            Self::Bool(x) => x.into(),
            Self::I32(x) => x.into(),
            Self::I64(x) => x,
            Self::F32(x) => (x.to_bits() as i32).into(),
            Self::F64(x) => x.to_bits() as i64,
        }
    }

    /// The Boolean; `None` for other types.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Self::Bool(x) => Some(x),
            _ => None,
        }
    }

    /// The number, in double precision; `None` for other types than `f32` and `f64`.
    pub fn as_float(self) -> Option<f64> {
        match self {
            Self::F32(x) => Some(x.into()),
            Self::F64(x) => Some(x),
            _ => None,
        }
    }

    /// The integer; `None` for other types than `i32` and `i64`.
    pub fn as_integer(self) -> Option<i64> {
        match self {
            Self::I32(x) => Some(x.into()),
            Self::I64(x) => Some(x),
            _ => None,
        }
    }

    /// The value converted to a type, defined for all values: floats are truncated to the nearest integer in range, and
    /// NaN is 0; integers wrap around; conversions to floats round to nearest; Booleans are 0 and 1; numbers other than 0,
    /// NaN included, are true.
    pub fn cast(self, to: ScalarType) -> Self {
        macro_rules! number {
            ($x:ident, $zero:literal) => {
                match to {
                    ScalarType::Bool => Self::Bool($x != $zero),
                    ScalarType::I32 => Self::I32($x as i32),
                    ScalarType::I64 => Self::I64($x as i64),
                    ScalarType::F32 => Self::F32($x as f32),
                    ScalarType::F64 => Self::F64($x as f64),
                }
            };
        }
        match self {
            Self::Bool(x) => match to {
                ScalarType::Bool => self,
                _ => Self::I32(x.into()).cast(to),
            },
            Self::I32(x) => number!(x, 0),
            Self::I64(x) => number!(x, 0),
            Self::F32(x) => number!(x, 0.0),
            Self::F64(x) => number!(x, 0.0),
        }
    }

    /// The order of two scalars of one type: the total order of IEEE 754 for floats. `None` for different types.
    pub fn total_cmp(self, other: Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Bool(x), Self::Bool(y)) => x.cmp(&y),
            (Self::I32(x), Self::I32(y)) => x.cmp(&y),
            (Self::I64(x), Self::I64(y)) => x.cmp(&y),
            (Self::F32(x), Self::F32(y)) => x.total_cmp(&y),
            (Self::F64(x), Self::F64(y)) => x.total_cmp(&y),
            _ => return None,
        })
    }
}
