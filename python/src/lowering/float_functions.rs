//! Functions of floats.

use warpframe::ir::{Binary, Comparison, ScalarType, Unary, Value};

use super::lower::Lowerer;
use crate::dtype::DType;

/// The op of a function that is one.
fn unary_op(name: &str) -> Option<Unary> {
    Some(match name {
        "sqrt" => Unary::Sqrt,
        "cbrt" => Unary::Cbrt,
        "exp" => Unary::Exp,
        "log" => Unary::Ln,
        "log2" => Unary::Log2,
        "log10" => Unary::Log10,
        "sin" => Unary::Sin,
        "cos" => Unary::Cos,
        "tan" => Unary::Tan,
        "arcsin" => Unary::Asin,
        "arccos" => Unary::Acos,
        "arctan" => Unary::Atan,
        "sinh" => Unary::Sinh,
        "cosh" => Unary::Cosh,
        "tanh" => Unary::Tanh,
        "degrees" => Unary::Degrees,
        "radians" => Unary::Radians,
        "floor" => Unary::Floor,
        "ceil" => Unary::Ceil,
        _ => return None,
    })
}

impl Lowerer {
    /// A function of a float; `None` if there is none of this name.
    pub(super) fn float_function(&mut self, name: &str, dtype: DType, x: Value) -> Option<Value> {
        if let Some(op) = unary_op(name) {
            return Some(self.builder.unary(op, x));
        }
        let scalar = dtype.scalar_type();
        Some(match name {
            "exp2" => {
                let two = self.builder.const_float(scalar, 2.0);
                self.builder.binary(Binary::Power, two, x)
            }
            "trunc" => {
                let truncated = self.builder.unary(Unary::Trunc, x);
                self.keep_zero(x, truncated)
            }
            "rint" | "round" => self.round_half_to_even(scalar, x),
            "log1p" => self.log1p(scalar, x),
            "expm1" => self.expm1(scalar, x),
            "arcsinh" => self.odd(x, Self::arcsinh),
            "arctanh" => self.odd(x, Self::arctanh),
            "arccosh" => self.arccosh(x),
            _ => return None,
        })
    }

    /// A function of two floats; `None` if there is none of this name.
    pub(super) fn float_function_of_two(
        &mut self,
        name: &str,
        dtype: DType,
        x: Value,
        y: Value,
    ) -> Option<Value> {
        Some(match name {
            "arctan2" => self.builder.binary(Binary::Atan2, x, y),
            "copysign" => self.copysign(x, y),
            "hypot" => self.hypot(dtype.scalar_type(), x, y),
            _ => return None,
        })
    }

    fn number(&mut self, like: Value, number: f64) -> Value {
        let scalar = self.builder.scalar_type(like);
        self.builder.const_float(scalar, number)
    }

    fn add(&mut self, x: Value, y: Value) -> Value {
        self.builder.binary(Binary::Add, x, y)
    }

    fn subtract(&mut self, x: Value, y: Value) -> Value {
        self.builder.binary(Binary::Subtract, x, y)
    }

    fn multiply(&mut self, x: Value, y: Value) -> Value {
        self.builder.binary(Binary::Multiply, x, y)
    }

    fn divide(&mut self, x: Value, y: Value) -> Value {
        self.builder.binary(Binary::Divide, x, y)
    }

    fn is_equal(&mut self, x: Value, number: f64) -> Value {
        let number = self.number(x, number);
        self.builder.compare(Comparison::Eq, x, number)
    }

    fn is_less(&mut self, x: Value, number: f64) -> Value {
        let number = self.number(x, number);
        self.builder.compare(Comparison::Lt, x, number)
    }

    /// The result, or the operand where it is zero: its sign is kept.
    fn keep_zero(&mut self, x: Value, result: Value) -> Value {
        let is_zero = self.is_equal(x, 0.0);
        self.builder.select(is_zero, x, result)
    }

    /// An odd function from its values for positive operands.
    fn odd(&mut self, x: Value, positive: impl FnOnce(&mut Self, Value) -> Value) -> Value {
        let magnitude = self.builder.unary(Unary::Abs, x);
        let result = positive(self, magnitude);
        let minus = self.builder.unary(Unary::Negate, result);
        let negative = self.is_less(x, 0.0);
        let result = self.builder.select(negative, minus, result);
        self.keep_zero(x, result)
    }

    /// The sum with the least number whose neighbors differ by 1 is rounded to an integer, half to even.
    fn round_half_to_even(&mut self, scalar: ScalarType, x: Value) -> Value {
        let digits = if scalar == ScalarType::F32 { 23 } else { 52 };
        let limit = f64::from(digits).exp2();
        let magnitude = self.builder.unary(Unary::Abs, x);
        let has_fraction = self.is_less(magnitude, limit);
        let rounded = self.odd(x, |this, magnitude| {
            let limit = this.number(magnitude, limit);
            let sum = this.add(magnitude, limit);
            this.subtract(sum, limit)
        });
        self.builder.select(has_fraction, rounded, x)
    }

    /// `ln(1 + x)`: the error of the rounded sum cancels in the quotient of the logarithm and the difference (Kahan). Error
    /// at most 4 ULP.
    fn log1p(&mut self, scalar: ScalarType, x: Value) -> Value {
        let one = self.builder.const_float(scalar, 1.0);
        let sum = self.add(one, x);
        let difference = self.subtract(sum, one);
        let logarithm = self.builder.unary(Unary::Ln, sum);
        let ratio = self.divide(x, difference);
        let corrected = self.multiply(logarithm, ratio);
        let is_tiny = self.is_equal(difference, 0.0);
        let is_infinite = self.is_equal(sum, f64::INFINITY);
        let is_itself = self.builder.or(is_tiny, is_infinite);
        self.builder.select(is_itself, x, corrected)
    }

    /// `exp(x) - 1`, likewise. Error at most 4 ULP.
    fn expm1(&mut self, scalar: ScalarType, x: Value) -> Value {
        let one = self.builder.const_float(scalar, 1.0);
        let power = self.builder.unary(Unary::Exp, x);
        let difference = self.subtract(power, one);
        let logarithm = self.builder.unary(Unary::Ln, power);
        let ratio = self.divide(x, logarithm);
        let corrected = self.multiply(difference, ratio);
        let is_tiny = self.is_equal(power, 1.0);
        let corrected = self.builder.select(is_tiny, x, corrected);
        let magnitude = self.builder.unary(Unary::Abs, x);
        let is_small = self.is_less(magnitude, 1.0);
        self.builder.select(is_small, corrected, difference)
    }

    /// `ln(2 x)` for arguments whose square would overflow, or dominates.
    fn logarithm_of_twice(&mut self, x: Value) -> Value {
        let logarithm = self.builder.unary(Unary::Ln, x);
        let two = self.number(x, std::f64::consts::LN_2);
        self.add(logarithm, two)
    }

    /// Whether `x * x + 1` is `x * x` within the error bound.
    fn is_large(&mut self, x: Value) -> Value {
        let limit = if self.builder.scalar_type(x) == ScalarType::F32 { 1e5 } else { 1e9 };
        let limit = self.number(x, limit);
        self.builder.compare(Comparison::Lt, limit, x)
    }

    /// `arcsinh` of a positive number.
    fn arcsinh(&mut self, x: Value) -> Value {
        let scalar = self.builder.scalar_type(x);
        let one = self.number(x, 1.0);
        let square = self.multiply(x, x);
        let sum = self.add(square, one);
        let root = self.builder.unary(Unary::Sqrt, sum);
        let denominator = self.add(root, one);
        let quotient = self.divide(square, denominator);
        let argument = self.add(x, quotient);
        let result = self.log1p(scalar, argument);
        let (large, of_large) = (self.is_large(x), self.logarithm_of_twice(x));
        self.builder.select(large, of_large, result)
    }

    fn arccosh(&mut self, x: Value) -> Value {
        let scalar = self.builder.scalar_type(x);
        let [one, two, nan] = [1.0, 2.0, f64::NAN].map(|number| self.number(x, number));
        let rest = self.subtract(x, one);
        let sum = self.add(rest, two);
        let product = self.multiply(rest, sum);
        let root = self.builder.unary(Unary::Sqrt, product);
        let argument = self.add(rest, root);
        let result = self.log1p(scalar, argument);
        let (large, of_large) = (self.is_large(x), self.logarithm_of_twice(x));
        let result = self.builder.select(large, of_large, result);
        let outside = self.is_less(x, 1.0);
        self.builder.select(outside, nan, result)
    }

    /// `arctanh` of a positive number.
    fn arctanh(&mut self, x: Value) -> Value {
        let scalar = self.builder.scalar_type(x);
        let [half, one] = [0.5, 1.0].map(|number| self.number(x, number));
        let twice = self.add(x, x);
        let rest = self.subtract(one, x);
        let quotient = self.divide(twice, rest);
        let logarithm = self.log1p(scalar, quotient);
        self.multiply(half, logarithm)
    }

    /// The root of the sum of squares, of which no intermediate result overflows. Error at most 3 ULP.
    fn hypot(&mut self, scalar: ScalarType, x: Value, y: Value) -> Value {
        let [x, y] = [x, y].map(|value| self.builder.unary(Unary::Abs, value));
        let less = self.builder.compare(Comparison::Lt, y, x);
        let (large, small) = (self.builder.select(less, x, y), self.builder.select(less, y, x));
        let ratio = self.divide(small, large);
        let square = self.multiply(ratio, ratio);
        let one = self.builder.const_float(scalar, 1.0);
        let sum = self.add(one, square);
        let root = self.builder.unary(Unary::Sqrt, sum);
        let result = self.multiply(large, root);
        // The quotient of zeros is NaN.
        let total = self.add(x, y);
        let result = self.keep_zero(total, result);
        let [x_infinite, y_infinite] = [x, y].map(|value| self.is_equal(value, f64::INFINITY));
        let infinite = self.builder.or(x_infinite, y_infinite);
        let infinity = self.builder.const_float(scalar, f64::INFINITY);
        let result = self.builder.select(infinite, infinity, result);
        let result = self.null_where(x, result);
        self.null_where(y, result)
    }
}
