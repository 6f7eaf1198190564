//! Comparisons of values of one type. Floats are compared in the total order of IEEE 754, but zeros of both signs are equal.

use datafusion::logical_expr::expr::Between;
use datafusion::logical_expr::{Expr, Operator};

use super::lowered::{LowerResult, NotLowered};
use super::lowerer::Lowerer;
use warpframe_ir::builder::Builder;
use warpframe_ir::instruction::{Comparison, Value};

impl Lowerer<'_> {
    pub(super) fn lower_comparison(
        &mut self,
        op: Operator,
        left: &Expr,
        right: &Expr,
    ) -> LowerResult<Option<Value>> {
        use Operator::*;
        let is_known = matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom);
        if !is_known || self.common_types([left, right])?.is_none() {
            return Ok(None);
        }
        let operands = self.lower_each([left, right])?;
        self.work.add_cheap();
        let builder = &mut self.builder;
        let [x, y] = operands.map(|operand| builder.canonicalize_zero(operand));
        Ok(Some(match op {
            Eq => equal(builder, x, y),
            NotEq => {
                let same = equal(builder, x, y);
                builder.not(same)
            }
            Lt => less(builder, x, y),
            Gt => less(builder, y, x),
            LtEq => less_or_equal(builder, x, y),
            GtEq => less_or_equal(builder, y, x),
            IsNotDistinctFrom => not_distinct(builder, x, y),
            _ => {
                let same = not_distinct(builder, x, y);
                builder.not(same)
            }
        }))
    }

    pub(super) fn lower_between(&mut self, between: &Between) -> LowerResult<Option<Value>> {
        let Between { expr, negated, low, high } = between;
        if self.common_types([&**expr, low, high])?.is_none() {
            return Ok(None);
        }
        let [x, low] = self.lower_each([&**expr, low])?;
        // DataFusion evaluates it as the operands of AND.
        let high = self.lower_right_operand(high)?;
        self.work.add_cheap();
        self.work.add_cheap();
        let builder = &mut self.builder;
        let [x, low, high] = [x, low, high].map(|operand| builder.canonicalize_zero(operand));
        let (above, below) = (less_or_equal(builder, low, x), less_or_equal(builder, x, high));
        let inside = builder.and(above, below);
        Ok(Some(if *negated { builder.not(inside) } else { inside }))
    }

    /// Lowers the right operand of AND, OR and the like: DataFusion may evaluate it only in the rows that the left one does
    /// not decide, depending on the other rows of the batch.
    pub(super) fn lower_right_operand(&mut self, right: &Expr) -> LowerResult<Value> {
        self.in_conditional(self.guard, |lowerer| {
            let traps = lowerer.builder.traps();
            let value = lowerer.lower_expr(right)?;
            match lowerer.builder.traps() > traps {
                true => Err(NotLowered::Conditional(right.to_string())),
                false => Ok(value),
            }
        })
    }
}

/// `x = y`, of values with canonical zeros.
fn equal(builder: &mut Builder, x: Value, y: Value) -> Value {
    builder.compare(Comparison::BitEq, x, y)
}

/// `x < y`, of values with canonical zeros.
fn less(builder: &mut Builder, x: Value, y: Value) -> Value {
    builder.compare(Comparison::TotalLt, x, y)
}

/// `x <= y`, of values with canonical zeros.
fn less_or_equal(builder: &mut Builder, x: Value, y: Value) -> Value {
    let greater = less(builder, y, x);
    builder.not(greater)
}

/// Whether both values are null, or neither is and they are equal; never null.
fn not_distinct(builder: &mut Builder, x: Value, y: Value) -> Value {
    let same = equal(builder, x, y);
    let same = builder.is_true(same);
    let (x_null, y_null) = (builder.is_null(x), builder.is_null(y));
    let both_null = builder.and(x_null, y_null);
    builder.or(both_null, same)
}
