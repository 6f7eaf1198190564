//! The integer types of expressions. Programs compute them in `i32` and `i64`, and wrap results to the width of the type.

use arrow::datatypes::DataType;

use warpframe_ir::builder::Builder;
use warpframe_ir::instruction::Value;
use warpframe_ir::ops::Binary;
use warpframe_ir::{IntegerType, ScalarType};

/// An integer type that values of programs have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Integer {
    /// The type in the messages of traps.
    pub name: IntegerType,
    /// The type of the values in programs.
    pub scalar_type: ScalarType,
    /// The width.
    pub bits: u32,
    pub signed: bool,
}

impl Integer {
    /// The integer type that an Arrow type is; `None` for other types, and for `UInt64`, which programs do not compute.
    pub fn of(data_type: &DataType) -> Option<Self> {
        use ScalarType::{I32, I64};
        let (name, scalar_type, bits, signed) = match data_type {
            DataType::Int8 => (IntegerType::Int8, I32, 8, true),
            DataType::Int16 => (IntegerType::Int16, I32, 16, true),
            DataType::Int32 => (IntegerType::Int32, I32, 32, true),
            DataType::Int64 => (IntegerType::Int64, I64, 64, true),
            DataType::UInt8 => (IntegerType::UInt8, I32, 8, false),
            DataType::UInt16 => (IntegerType::UInt16, I32, 16, false),
            DataType::UInt32 => (IntegerType::UInt32, I64, 32, false),
            _ => return None,
        };
        Some(Self { name, scalar_type, bits, signed })
    }

    /// The smallest value.
    pub fn min(self) -> i64 {
        if self.signed { i64::MIN >> (64 - self.bits) } else { 0 }
    }

    /// The largest value.
    pub fn max(self) -> i64 {
        if self.signed { i64::MAX >> (64 - self.bits) } else { (1 << self.bits) - 1 }
    }

    /// The value whose lowest bits, as many as the type has, are those of `x`: the result of an operation that wraps around
    /// at the width of the type.
    pub fn wrap(self, builder: &mut Builder, x: Value) -> Value {
        let width = if self.scalar_type == ScalarType::I64 { 64 } else { 32 };
        if self.bits == width {
            return x;
        }
        if self.signed {
            let shift = builder.const_integer(self.scalar_type, i64::from(width - self.bits));
            let high = builder.binary(Binary::ShiftLeft, x, shift);
            return builder.binary(Binary::ShiftRight, high, shift);
        }
        let mask = builder.const_integer(self.scalar_type, self.max());
        builder.binary(Binary::BitAnd, x, mask)
    }
}
