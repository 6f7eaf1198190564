//! Arithmetic of integers. Results are wrapped around by the caller.

use warpframe::ir::{Binary, Comparison, Value};

use super::error::{LoweringError, LoweringResult};
use super::lower::Lowerer;
use super::operand::Operand;
use crate::dtype::DType;

impl Lowerer {
    /// An operator of integers of one type; `None` of other operators. Quotients and remainders of a division by zero are 0, as
    /// in NumPy.
    pub(super) fn integer_arithmetic(&mut self, op: &str, dtype: DType, x: Value, y: Value) -> Option<Value> {
        let builder = &mut self.builder;
        Some(match op {
            "add" => builder.binary(Binary::Add, x, y),
            "subtract" => builder.binary(Binary::Subtract, x, y),
            "multiply" => builder.binary(Binary::Multiply, x, y),
            "fmod" => builder.binary(Binary::Remainder, x, y),
            "floor_divide" => {
                let quotient = builder.binary(Binary::Divide, x, y);
                if !dtype.is_signed() {
                    return Some(quotient);
                }
                let one = builder.const_integer(dtype.scalar_type(), 1);
                let lower = builder.binary(Binary::Subtract, quotient, one);
                let is_inexact = self.is_rounded_up(dtype, x, y);
                self.builder.select(is_inexact, lower, quotient)
            }
            "remainder" => {
                let remainder = builder.binary(Binary::Remainder, x, y);
                if !dtype.is_signed() {
                    return Some(remainder);
                }
                let higher = builder.binary(Binary::Add, remainder, y);
                let is_inexact = self.is_rounded_up(dtype, x, y);
                self.builder.select(is_inexact, higher, remainder)
            }
            "left_shift" => self.shift(Binary::ShiftLeft, dtype, x, y),
            "right_shift" => self.shift(Binary::ShiftRight, dtype, x, y),
            _ => return self.bitwise(op, dtype, x, y),
        })
    }

    /// Whether the quotient that is rounded towards zero is greater than the exact one.
    fn is_rounded_up(&mut self, dtype: DType, x: Value, y: Value) -> Value {
        let builder = &mut self.builder;
        let zero = builder.const_integer(dtype.scalar_type(), 0);
        let remainder = builder.binary(Binary::Remainder, x, y);
        let is_exact = builder.compare(Comparison::Eq, remainder, zero);
        let inexact = builder.not(is_exact);
        let [remainder_negative, divisor_negative] =
            [remainder, y].map(|value| builder.compare(Comparison::Lt, value, zero));
        let same = builder.compare(Comparison::Eq, remainder_negative, divisor_negative);
        let different = builder.not(same);
        builder.and(inexact, different)
    }

    /// A shift. Counts that are negative, or not less than the number of bits, shift all bits out.
    fn shift(&mut self, op: Binary, dtype: DType, x: Value, count: Value) -> Value {
        let builder = &mut self.builder;
        let scalar = dtype.scalar_type();
        let [zero, bits, last] = [0, i64::from(dtype.bits()), i64::from(dtype.bits()) - 1]
            .map(|number| builder.const_integer(scalar, number));
        let negative = builder.compare(Comparison::Lt, count, zero);
        let small = builder.compare(Comparison::Lt, count, bits);
        let not_negative = builder.not(negative);
        let in_range = builder.and(not_negative, small);
        let shifted = builder.binary(op, x, count);
        let all_out = match op {
            Binary::ShiftRight if dtype.is_signed() => builder.binary(op, x, last),
            _ => zero,
        };
        let result = builder.select(in_range, shifted, all_out);
        let result = self.null_where(count, result);
        self.null_where(x, result)
    }

    /// A power of an integer, by multiplications: the exponent is a constant.
    pub(super) fn integer_power(&mut self, dtype: DType, x: Operand, y: Operand) -> LoweringResult<Operand> {
        let base = self.convert(x, dtype)?;
        let exponent = self.typed(y).0;
        let Some(mut exponent) = self.builder.as_constant(exponent).and_then(|value| value.as_integer())
        else {
            return Err(LoweringError::Type(
                "a power of integers needs a constant exponent: convert an operand with .astype(np.float64)"
                    .to_owned(),
            ));
        };
        if exponent < 0 {
            return Err(LoweringError::Value(
                "integers cannot be raised to negative integer powers: use a float exponent such as -1.0"
                    .to_owned(),
            ));
        }
        let (mut power, mut square) = (None, base);
        while exponent > 0 {
            if exponent & 1 == 1 {
                power = Some(match power {
                    None => square,
                    Some(power) => self.multiply_wrapped(dtype, power, square),
                });
            }
            exponent >>= 1;
            if exponent > 0 {
                square = self.multiply_wrapped(dtype, square, square);
            }
        }
        let power = match power {
            Some(power) => power,
            // The power of 0 is 1 where the base is not null.
            None => {
                let same = self.builder.compare(Comparison::Eq, base, base);
                self.builder.cast(dtype.scalar_type(), same)
            }
        };
        Ok(match x.is_weak() && y.is_weak() {
            true => self.weak(power, dtype),
            false => Operand::Typed(power, dtype),
        })
    }

    fn multiply_wrapped(&mut self, dtype: DType, x: Value, y: Value) -> Value {
        let product = self.builder.binary(Binary::Multiply, x, y);
        self.wrap(product, dtype)
    }
}
