//! Arithmetic and bit operations. Integers wrap around at the width of their type, except where DataFusion checks for
//! overflow: division by zero, the quotient of the smallest integer and -1, and the absolute value of the smallest integer
//! are errors.

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::integers::Integer;
use super::lowered::LowerResult;
use super::lowerer::Lowerer;
use warpframe_ir::Trap;
use warpframe_ir::instruction::{Comparison, Value};
use warpframe_ir::ops::{Binary, Unary};

impl Lowerer<'_> {
    pub(super) fn lower_binary(&mut self, binary: &BinaryExpr) -> LowerResult<Option<Value>> {
        let BinaryExpr { left, op, right } = binary;
        match op {
            Operator::And | Operator::Or => self.lower_logical(*op, left, right).map(Some),
            Operator::Plus => self.lower_arithmetic(Binary::Add, left, right),
            Operator::Minus => self.lower_arithmetic(Binary::Subtract, left, right),
            Operator::Multiply => self.lower_arithmetic(Binary::Multiply, left, right),
            Operator::Divide => self.lower_arithmetic(Binary::Divide, left, right),
            Operator::Modulo => self.lower_arithmetic(Binary::Remainder, left, right),
            Operator::BitwiseAnd => self.lower_arithmetic(Binary::BitAnd, left, right),
            Operator::BitwiseOr => self.lower_arithmetic(Binary::BitOr, left, right),
            Operator::BitwiseXor => self.lower_arithmetic(Binary::BitXor, left, right),
            Operator::BitwiseShiftLeft => self.lower_arithmetic(Binary::ShiftLeft, left, right),
            Operator::BitwiseShiftRight => self.lower_arithmetic(Binary::ShiftRight, left, right),
            _ => self.lower_comparison(*op, left, right),
        }
    }

    fn lower_arithmetic(&mut self, op: Binary, left: &Expr, right: &Expr) -> LowerResult<Option<Value>> {
        if let Some(result) = self.lower_time_arithmetic(op, left, right)? {
            return Ok(Some(result));
        }
        let Some((data_type, scalar_type)) = self.common_types([left, right])? else { return Ok(None) };
        let integer = Integer::of(&data_type);
        if !op.is_defined_for(scalar_type) || integer.is_none() && !scalar_type.is_float() {
            return Ok(None);
        }
        let [x, y] = self.lower_each([left, right])?;
        self.work.add_binary(op, scalar_type);
        let Some(integer) = integer else { return Ok(Some(self.builder.binary(op, x, y))) };
        let result = match op {
            Binary::Divide | Binary::Remainder => {
                self.trap_division(op, integer, x, y)?;
                self.builder.binary(op, x, y)
            }
            Binary::ShiftLeft | Binary::ShiftRight => {
                // The shift is taken modulo the width.
                let mask = self.builder.const_integer(scalar_type, i64::from(integer.bits - 1));
                let shift = self.builder.binary(Binary::BitAnd, y, mask);
                self.builder.binary(op, x, shift)
            }
            _ => self.builder.binary(op, x, y),
        };
        Ok(Some(match op {
            // The result has the width of the operands.
            Binary::Divide | Binary::Remainder | Binary::BitAnd | Binary::BitOr | Binary::BitXor => result,
            _ => integer.wrap(&mut self.builder, result),
        }))
    }

    /// The traps of `x / y` and `x % y` of integers.
    fn trap_division(&mut self, op: Binary, integer: Integer, x: Value, y: Value) -> LowerResult<()> {
        let builder = &mut self.builder;
        let (zero, x_null) = (builder.const_integer(integer.scalar_type, 0), builder.is_null(x));
        let (by_zero, x_known) = (builder.compare(Comparison::Eq, y, zero), builder.not(x_null));
        let by_zero = builder.and(by_zero, x_known);
        self.trap_where(Trap::DivideByZero, by_zero, &[])?;
        if op == Binary::Divide && integer.signed {
            let builder = &mut self.builder;
            let min = builder.const_integer(integer.scalar_type, integer.min());
            let minus_one = builder.const_integer(integer.scalar_type, -1);
            let by_minus_one = builder.compare(Comparison::Eq, y, minus_one);
            let of_min = builder.compare(Comparison::Eq, x, min);
            let overflows = builder.and(by_minus_one, of_min);
            self.trap_where(Trap::DivisionOverflow, overflows, &[x, y])?;
        }
        Ok(())
    }

    pub(super) fn lower_negative(&mut self, inner: &Expr) -> LowerResult<Option<Value>> {
        let Some((data_type, scalar_type)) = self.types(inner)? else { return Ok(None) };
        let integer = Integer::of(&data_type);
        if integer.is_none() && !scalar_type.is_float() {
            return Ok(None);
        }
        let x = self.lower_expr(inner)?;
        if integer.is_some() && self.builder.as_constant(x).is_some() {
            // Of constants, which it folds otherwise, DataFusion leaves the smallest integer: its negative is an error.
            return Ok(None);
        }
        self.work.add_unary(Unary::Negate);
        let negative = self.builder.unary(Unary::Negate, x);
        Ok(Some(match integer {
            Some(integer) => integer.wrap(&mut self.builder, negative),
            None => negative,
        }))
    }

    /// `abs` of an integer.
    pub(super) fn lower_integer_abs(&mut self, integer: Integer, inner: &Expr) -> LowerResult<Value> {
        let x = self.lower_expr(inner)?;
        if !integer.signed {
            return Ok(x);
        }
        self.work.add_unary(Unary::Abs);
        let min = self.builder.const_integer(integer.scalar_type, integer.min());
        let overflows = self.builder.compare(Comparison::Eq, x, min);
        self.trap_where(Trap::AbsOverflow(integer.name), overflows, &[x])?;
        Ok(self.builder.unary(Unary::Abs, x))
    }
}
