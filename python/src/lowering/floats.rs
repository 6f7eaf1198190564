//! Operators of floats.

use warpframe::ir::{Binary, Comparison, Unary, Value};

use super::lower::Lowerer;

impl Lowerer {
    /// An operator of two floats of one type; `None` of operators that are not defined for floats.
    pub(super) fn float_arithmetic(&mut self, op: &str, x: Value, y: Value) -> Option<Value> {
        let builder = &mut self.builder;
        Some(match op {
            "add" => builder.binary(Binary::Add, x, y),
            "subtract" => builder.binary(Binary::Subtract, x, y),
            "multiply" => builder.binary(Binary::Multiply, x, y),
            "divide" => builder.binary(Binary::Divide, x, y),
            "fmod" => builder.binary(Binary::Remainder, x, y),
            "remainder" => self.float_remainder(x, y),
            "floor_divide" => self.float_floor_divide(x, y),
            "power" => self.float_power(x, y),
            _ => return None,
        })
    }

    /// Whether a float has a sign, without that of NaN: it is negative, or -0.
    fn is_negative(&mut self, x: Value) -> Value {
        let builder = &mut self.builder;
        let scalar = builder.scalar_type(x);
        let [zero, one] = [0.0, 1.0].map(|number| builder.const_float(scalar, number));
        let less = builder.compare(Comparison::Lt, x, zero);
        let reciprocal = builder.binary(Binary::Divide, one, x);
        let of_zero = builder.compare(Comparison::Lt, reciprocal, zero);
        builder.or(less, of_zero)
    }

    /// The magnitude of a float with the sign of another.
    pub(super) fn copysign(&mut self, magnitude: Value, sign: Value) -> Value {
        let negative = self.is_negative(sign);
        let magnitude = self.builder.unary(Unary::Abs, magnitude);
        let minus = self.builder.unary(Unary::Negate, magnitude);
        let result = self.builder.select(negative, minus, magnitude);
        self.null_where(sign, result)
    }

    /// Whether the remainder of a division that is rounded towards zero is not zero, and has another sign than the divisor.
    fn is_rounded_towards_positive(&mut self, remainder: Value, divisor: Value) -> Value {
        let builder = &mut self.builder;
        let scalar = builder.scalar_type(divisor);
        let zero = builder.const_float(scalar, 0.0);
        let is_exact = builder.compare(Comparison::Eq, remainder, zero);
        let inexact = builder.not(is_exact);
        let [remainder, divisor] =
            [remainder, divisor].map(|value| builder.compare(Comparison::Lt, value, zero));
        let same = builder.compare(Comparison::Eq, remainder, divisor);
        let different = builder.not(same);
        builder.and(inexact, different)
    }

    /// The remainder with the sign of the divisor; a remainder of zero has it too.
    fn float_remainder(&mut self, x: Value, y: Value) -> Value {
        let remainder = self.builder.binary(Binary::Remainder, x, y);
        let adjusts = self.is_rounded_towards_positive(remainder, y);
        let builder = &mut self.builder;
        let zero = builder.const_float(builder.scalar_type(y), 0.0);
        let adjusted = builder.binary(Binary::Add, remainder, y);
        let result = builder.select(adjusts, adjusted, remainder);
        let is_exact = builder.compare(Comparison::Eq, remainder, zero);
        let signed_zero = self.copysign(zero, y);
        self.builder.select(is_exact, signed_zero, result)
    }

    /// The quotient rounded towards negative infinity, computed from the exact remainder: the rounded quotient may be an integer
    /// that is greater than the exact quotient.
    fn float_floor_divide(&mut self, x: Value, y: Value) -> Value {
        let remainder = self.builder.binary(Binary::Remainder, x, y);
        let adjusts = self.is_rounded_towards_positive(remainder, y);
        let builder = &mut self.builder;
        let scalar = builder.scalar_type(x);
        let [zero, half, one] = [0.0, 0.5, 1.0].map(|number| builder.const_float(scalar, number));
        let difference = builder.binary(Binary::Subtract, x, remainder);
        let whole = builder.binary(Binary::Divide, difference, y);
        let lower = builder.binary(Binary::Subtract, whole, one);
        let whole = builder.select(adjusts, lower, whole);
        // `whole` is close to an integer.
        let floor = builder.unary(Unary::Floor, whole);
        let above = builder.binary(Binary::Subtract, whole, floor);
        let is_below = builder.compare(Comparison::Lt, half, above);
        let next = builder.binary(Binary::Add, floor, one);
        let nearest = builder.select(is_below, next, floor);
        let quotient = builder.binary(Binary::Divide, x, y);
        let is_zero = builder.compare(Comparison::Eq, whole, zero);
        let by_zero = builder.compare(Comparison::Eq, y, zero);
        let signed_zero = self.copysign(zero, quotient);
        let result = self.builder.select(is_zero, signed_zero, nearest);
        self.builder.select(by_zero, quotient, result)
    }

    /// A power. Small constant exponents are multiplications, and 0.5 is a square root, as in NumPy.
    fn float_power(&mut self, x: Value, y: Value) -> Value {
        let builder = &mut self.builder;
        let exponent = builder.as_constant(y).and_then(|constant| constant.as_float());
        let square = |builder: &mut warpframe::ir::Builder, x| builder.binary(Binary::Multiply, x, x);
        match exponent {
            Some(1.0) => x,
            Some(2.0) => square(builder, x),
            Some(3.0) => {
                let squared = square(builder, x);
                builder.binary(Binary::Multiply, squared, x)
            }
            Some(4.0) => {
                let squared = square(builder, x);
                square(builder, squared)
            }
            Some(0.5) => builder.unary(Unary::Sqrt, x),
            Some(-1.0) => {
                let one = builder.const_float(builder.scalar_type(x), 1.0);
                builder.binary(Binary::Divide, one, x)
            }
            _ => builder.binary(Binary::Power, x, y),
        }
    }
}
