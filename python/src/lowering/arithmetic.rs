//! Arithmetic of numbers of any type.

use warpframe::ir::{Binary, Comparison, ScalarType, Unary, Value};

use super::error::{LoweringError, LoweringResult};
use super::lower::{Lowerer, no_uint64};
use super::operand::{Operand, Weak};
use crate::dtype::DType;

impl Lowerer {
    /// A value of a Python type, which a result of Python's own arithmetic is.
    pub(super) fn weak(&self, value: Value, dtype: DType) -> Operand {
        let weak = Weak { value, parameter: None };
        match dtype {
            DType::Int64 => Operand::Int(weak),
            DType::Float64 => Operand::Float(weak),
            _ => Operand::Typed(value, dtype),
        }
    }

    /// Operations whose result has the type of the operand; `None` for others.
    pub(super) fn unary_arithmetic(&mut self, op: &str, x: Operand) -> LoweringResult<Option<Operand>> {
        let dtype = x.dtype();
        // `round` has the type of its operand, and `rint` is a function of floats.
        let rounds = matches!(op, "floor" | "ceil" | "trunc") || op == "round" && dtype != DType::Bool;
        let arithmetic =
            matches!(op, "positive" | "negative" | "absolute" | "invert" | "square" | "sign" | "reciprocal");
        if !(arithmetic || rounds && !dtype.is_float()) {
            return Ok(None);
        }
        if dtype == DType::UInt64 {
            return Err(no_uint64("computed"));
        }
        let (value, _) = self.typed(x);
        let unsigned = dtype.is_integer() && !dtype.is_signed();
        let result = match (op, dtype) {
            ("positive", _) => value,
            _ if rounds => value,
            ("negative" | "sign", DType::Bool) => {
                return Err(not_of_bool(op, "use ~, or convert it with .astype"));
            }
            ("absolute", DType::Bool) => value,
            // NumPy has the square of an `int8`.
            ("square", DType::Bool) => {
                let value = self.builder.cast(ScalarType::I32, value);
                return Ok(Some(Operand::Typed(value, DType::Int8)));
            }
            ("invert", DType::Bool) => self.builder.not(value),
            ("invert", _) if dtype.is_float() => {
                return Err(LoweringError::Type(format!("~ is not defined for {}", dtype.name())));
            }
            ("invert", _) => {
                let ones = self.builder.const_integer(dtype.scalar_type(), -1);
                self.builder.binary(Binary::BitXor, value, ones)
            }
            ("absolute", _) if unsigned => value,
            ("absolute", _) => self.builder.unary(Unary::Abs, value),
            ("negative", _) => self.builder.unary(Unary::Negate, value),
            ("square", _) => self.builder.binary(Binary::Multiply, value, value),
            ("sign", _) if dtype.is_float() => self.builder.unary(Unary::Signum, value),
            ("sign", _) => self.integer_sign(dtype, value),
            _ if dtype.is_float() => {
                let one = self.builder.const_float(dtype.scalar_type(), 1.0);
                self.builder.binary(Binary::Divide, one, value)
            }
            _ => {
                return Err(LoweringError::Type(format!(
                    "the reciprocal of {} is not a float in NumPy: write 1 / x",
                    dtype.name()
                )));
            }
        };
        let result = if dtype.is_integer() { self.wrap(result, dtype) } else { result };
        Ok(Some(if x.is_weak() { self.weak(result, dtype) } else { Operand::Typed(result, dtype) }))
    }

    fn integer_sign(&mut self, dtype: DType, value: Value) -> Value {
        let scalar = dtype.scalar_type();
        let [minus, zero, one] = [-1, 0, 1].map(|number| self.builder.const_integer(scalar, number));
        let negative = self.builder.compare(Comparison::Lt, value, zero);
        let positive = self.builder.compare(Comparison::Lt, zero, value);
        let not_positive = self.builder.select(negative, minus, value);
        let sign = self.builder.select(positive, one, not_positive);
        self.null_where(value, sign)
    }

    /// Operators of two numbers; `None` for functions.
    pub(super) fn binary_arithmetic(
        &mut self,
        op: &str,
        x: Operand,
        y: Operand,
    ) -> LoweringResult<Option<Operand>> {
        let promoted = x.promote(y);
        let dtype = match op {
            "add" | "multiply" | "bitwise_and" | "bitwise_or" | "bitwise_xor" => promoted,
            "subtract" if promoted == DType::Bool => return Err(not_of_bool("-", "use ^")),
            "subtract" => promoted,
            "divide" if !promoted.is_float() => DType::Float64,
            "divide" => promoted,
            "floor_divide" | "remainder" | "fmod" | "left_shift" | "right_shift" | "power"
                if promoted == DType::Bool =>
            {
                DType::Int8
            }
            "floor_divide" | "remainder" | "fmod" | "left_shift" | "right_shift" | "power" => promoted,
            _ => return Ok(None),
        };
        if dtype == DType::UInt64 {
            return Err(no_uint64("computed"));
        }
        if op == "power" && dtype.is_integer() {
            return self.integer_power(dtype, x, y).map(Some);
        }
        let (a, b) = (self.convert(x, dtype)?, self.convert(y, dtype)?);
        let result = match dtype {
            DType::Bool => match op {
                "add" => self.builder.or(a, b),
                "multiply" => self.builder.and(a, b),
                _ => match self.bitwise(op, dtype, a, b) {
                    Some(value) => value,
                    None => return Ok(None),
                },
            },
            _ if dtype.is_float() => match self.float_arithmetic(op, a, b) {
                Some(value) => value,
                None => {
                    return Err(LoweringError::Type(format!("{op} is not defined for {}", dtype.name())));
                }
            },
            _ => match self.integer_arithmetic(op, dtype, a, b) {
                Some(value) => self.wrap(value, dtype),
                None => return Ok(None),
            },
        };
        Ok(Some(match x.is_weak() && y.is_weak() {
            true => self.weak(result, dtype),
            false => Operand::Typed(result, dtype),
        }))
    }
}

fn not_of_bool(op: &str, instead: &str) -> LoweringError {
    LoweringError::Type(format!("{op} is not defined for bool: {instead}"))
}
