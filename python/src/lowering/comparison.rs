//! Comparisons, extremes, and operations of Booleans.

use warpframe::ir::{Binary, Comparison, ScalarType, Unary, Value};

use super::error::LoweringResult;
use super::lower::{Lowerer, no_uint64};
use super::operand::Operand;
use crate::dtype::DType;

impl Lowerer {
    /// Comparisons, logical operations and extremes; `None` for other operations.
    pub(super) fn comparison(&mut self, op: &str, x: Operand, y: Operand) -> LoweringResult<Option<Operand>> {
        if let "logical_and" | "logical_or" | "logical_xor" = op {
            let (x, y) = (self.convert(x, DType::Bool)?, self.convert(y, DType::Bool)?);
            return Ok(Some(Operand::Typed(self.logical(op, x, y), DType::Bool)));
        }
        let is_comparison =
            matches!(op, "less" | "less_equal" | "greater" | "greater_equal" | "equal" | "not_equal");
        let is_extreme = matches!(op, "minimum" | "maximum" | "fmin" | "fmax");
        if !is_comparison && !is_extreme {
            return Ok(None);
        }
        let mut dtype = x.promote(y);
        let of_uint64 = [x, y].iter().any(|operand| operand.dtype() == DType::UInt64);
        if of_uint64 && [x, y].iter().all(|operand| operand.dtype().is_integer()) {
            return Err(no_uint64("compared with integers"));
        }
        // A Python integer outside of the range is compared by its value.
        let out_of_range = |this: &Self, operand| match operand {
            Operand::Int(weak) => {
                this.builder
                    .as_constant(weak.value)
                    .and_then(|value| value.as_integer())
                    .is_some_and(|value| !dtype.holds(value))
                    || weak.parameter.is_some()
            }
            _ => false,
        };
        if is_comparison && dtype.is_integer() && (out_of_range(self, x) || out_of_range(self, y)) {
            dtype = DType::Int64;
        }
        let (a, b) = (self.convert(x, dtype)?, self.convert(y, dtype)?);
        if is_extreme {
            let value = self.extreme(op, dtype, a, b);
            return Ok(Some(match x.is_weak() && y.is_weak() {
                true => self.weak(value, dtype),
                false => Operand::Typed(value, dtype),
            }));
        }
        Ok(Some(Operand::Typed(self.compare(op, a, b), DType::Bool)))
    }

    pub(super) fn logical(&mut self, op: &str, x: Value, y: Value) -> Value {
        match op {
            "logical_and" => self.builder.and(x, y),
            "logical_or" => self.builder.or(x, y),
            _ => {
                let same = self.builder.compare(Comparison::Eq, x, y);
                self.builder.not(same)
            }
        }
    }

    /// A comparison as IEEE 754 defines it for floats: false for NaN, except `not_equal`.
    pub(super) fn compare(&mut self, op: &str, x: Value, y: Value) -> Value {
        let builder = &mut self.builder;
        match op {
            "less" => builder.compare(Comparison::Lt, x, y),
            "greater" => builder.compare(Comparison::Lt, y, x),
            "equal" => builder.compare(Comparison::Eq, x, y),
            "not_equal" => {
                let same = builder.compare(Comparison::Eq, x, y);
                builder.not(same)
            }
            _ => {
                let (low, high) = if op == "less_equal" { (x, y) } else { (y, x) };
                match builder.scalar_type(x).is_float() {
                    true => {
                        let less = builder.compare(Comparison::Lt, low, high);
                        let same = builder.compare(Comparison::Eq, low, high);
                        builder.or(less, same)
                    }
                    false => {
                        let greater = builder.compare(Comparison::Lt, high, low);
                        builder.not(greater)
                    }
                }
            }
        }
    }

    /// `minimum` and `maximum` return NaN if an operand is; `fmin` and `fmax` the other operand.
    fn extreme(&mut self, op: &str, dtype: DType, x: Value, y: Value) -> Value {
        if dtype == DType::Bool {
            // `false` and null is false in SQL.
            let op = if matches!(op, "minimum" | "fmin") { "logical_and" } else { "logical_or" };
            let extreme = self.logical(op, x, y);
            let extreme = self.null_where(x, extreme);
            return self.null_where(y, extreme);
        }
        let order = if matches!(op, "minimum" | "fmin") { "less_equal" } else { "greater_equal" };
        let mut first = self.compare(order, x, y);
        if dtype.is_float() {
            let nan = if matches!(op, "minimum" | "maximum") { x } else { y };
            let nan = self.builder.is_nan(nan);
            first = self.builder.or(first, nan);
        }
        let extreme = self.builder.select(first, x, y);
        let extreme = self.null_where(x, extreme);
        self.null_where(y, extreme)
    }

    /// `isnan`, `isinf`, `isfinite` and `logical_not`; `None` for other operations.
    pub(super) fn classify(&mut self, op: &str, x: Operand) -> Option<Operand> {
        let (value, dtype) = self.typed(x);
        let is_float = value_is_float(dtype);
        let builder = &mut self.builder;
        let result = match op {
            "logical_not" => {
                let truth = builder.cast(ScalarType::Bool, value);
                builder.not(truth)
            }
            "isnan" if is_float => builder.is_nan(value),
            "isfinite" | "isinf" if is_float => {
                let scalar = builder.scalar_type(value);
                let magnitude = builder.unary(Unary::Abs, value);
                let infinity = builder.const_float(scalar, f64::INFINITY);
                let comparison = if op == "isinf" { Comparison::Eq } else { Comparison::Lt };
                builder.compare(comparison, magnitude, infinity)
            }
            // Integers are finite. The result is null where the operand is.
            "isnan" | "isinf" | "isfinite" => {
                let same = builder.compare(Comparison::Eq, value, value);
                if op == "isfinite" { same } else { builder.not(same) }
            }
            _ => return None,
        };
        Some(Operand::Typed(result, DType::Bool))
    }

    /// The operators `&`, `|` and `^` of integers and Booleans.
    pub(super) fn bitwise(&mut self, op: &str, dtype: DType, x: Value, y: Value) -> Option<Value> {
        let (logical, bitwise) = match op {
            "bitwise_and" => ("logical_and", Binary::BitAnd),
            "bitwise_or" => ("logical_or", Binary::BitOr),
            "bitwise_xor" => ("logical_xor", Binary::BitXor),
            _ => return None,
        };
        Some(match dtype {
            DType::Bool => self.logical(logical, x, y),
            _ => self.builder.binary(bitwise, x, y),
        })
    }
}

fn value_is_float(dtype: DType) -> bool {
    dtype.scalar_type().is_float()
}
