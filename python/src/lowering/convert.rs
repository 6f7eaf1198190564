//! Conversions between types.

use warpframe::ir::{Binary, Scalar, ScalarType, Value};

use super::error::{LoweringError, LoweringResult};
use super::lower::{Lowerer, no_uint64};
use super::operand::Operand;
use crate::dtype::DType;

impl Lowerer {
    /// The value with the type that it has by itself.
    pub(super) fn typed(&mut self, operand: Operand) -> (Value, DType) {
        match operand {
            Operand::Typed(value, dtype) => (value, dtype),
            Operand::Int(weak) => (weak.value, DType::Int64),
            Operand::Float(weak) => (weak.value, DType::Float64),
        }
    }

    /// The value converted to a type that it is promoted to.
    ///
    /// # Errors
    /// A Python integer is not in the range of the type, or the type is `uint64`.
    pub(super) fn convert(&mut self, operand: Operand, to: DType) -> LoweringResult<Value> {
        if let Operand::Int(weak) = operand {
            if let Some(Scalar::I64(number)) = self.builder.as_constant(weak.value)
                && !to.holds(number)
                && to != DType::Bool
            {
                return Err(LoweringError::Overflow(format!(
                    "the Python integer {number} is not in the range of {}",
                    to.name()
                )));
            }
            if let Some(parameter) = weak.parameter
                && to.is_integer()
                && to != DType::Int64
            {
                self.limits.push((parameter, to));
            }
        }
        let (value, from) = self.typed(operand);
        self.cast(value, from, to)
    }

    /// The value converted to any type, as `astype` does. Floats outside of the range of an integer type become the nearest
    /// value of `int32` or `int64`, and NaN becomes 0; then they wrap around.
    ///
    /// # Errors
    /// A type is `uint64`, and the other one is neither a float nor `bool`.
    pub(super) fn explicit_cast(&mut self, operand: Operand, to: DType) -> LoweringResult<Value> {
        let (value, from) = self.typed(operand);
        self.cast(value, from, to)
    }

    fn cast(&mut self, value: Value, from: DType, to: DType) -> LoweringResult<Value> {
        if from == to {
            return Ok(value);
        }
        if from == DType::UInt64 && to.is_integer() {
            return Err(no_uint64("converted"));
        }
        if to == DType::UInt64 {
            return Err(no_uint64("computed"));
        }
        let scalar = to.scalar_type();
        let from_wide_integer = from.is_integer() && from.bits() > to.bits() && to.is_integer();
        let value = match scalar {
            // Through `i64`: a float is not rounded to the range of `int32` first.
            ScalarType::I32 if from.is_float() && to != DType::Int32 => {
                let wide = self.builder.cast(ScalarType::I64, value);
                self.builder.cast(ScalarType::I32, wide)
            }
            _ => self.builder.cast(scalar, value),
        };
        let in_range = from == DType::Bool || !to.is_integer();
        let widens = from.is_integer() && !from_wide_integer && (!from.is_signed() || to.is_signed());
        Ok(if in_range || (widens && from.bits() < to.bits()) { value } else { self.wrap(value, to) })
    }

    /// An integer wrapped around to the range of a type, whose scalar type it has.
    pub(super) fn wrap(&mut self, value: Value, dtype: DType) -> Value {
        let builder = &mut self.builder;
        match dtype {
            DType::Int8 | DType::Int16 => {
                let count = builder.const_integer(ScalarType::I32, i64::from(32 - dtype.bits()));
                let high = builder.binary(Binary::ShiftLeft, value, count);
                builder.binary(Binary::ShiftRight, high, count)
            }
            DType::UInt8 | DType::UInt16 | DType::UInt32 => {
                let mask = builder.const_integer(dtype.scalar_type(), (1 << dtype.bits()) - 1);
                builder.binary(Binary::BitAnd, value, mask)
            }
            _ => value,
        }
    }
}
