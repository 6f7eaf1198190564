//! Expressions of which DataFusion evaluates a part in some rows only: AND, OR and CASE. COALESCE and its like are CASE in
//! optimized plans.

use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, Operator};

use super::lowered::{LowerResult, NotLowered, scalar_type};
use super::lowerer::Lowerer;
use warpframe_ir::instruction::{Comparison, Value};

impl Lowerer<'_> {
    /// Runs `lower` for an expression that DataFusion evaluates in some rows only: those in which the guard is true.
    pub(super) fn in_conditional<T>(
        &mut self,
        guard: Option<Value>,
        lower: impl FnOnce(&mut Self) -> LowerResult<T>,
    ) -> LowerResult<T> {
        let (outer_conditional, outer_guard) = (self.conditional, self.guard);
        (self.conditional, self.guard) = (true, guard);
        let lowered = lower(self);
        (self.conditional, self.guard) = (outer_conditional, outer_guard);
        lowered
    }

    /// The conjunction of a guard and a condition.
    pub(super) fn and_guard(&mut self, guard: Option<Value>, condition: Value) -> Value {
        match guard {
            Some(guard) => self.builder.and(guard, condition),
            None => condition,
        }
    }

    /// AND and OR.
    pub(super) fn lower_logical(&mut self, op: Operator, left: &Expr, right: &Expr) -> LowerResult<Value> {
        let x = self.lower_expr(left)?;
        let y = self.lower_right_operand(right)?;
        Ok(if op == Operator::And { self.builder.and(x, y) } else { self.builder.or(x, y) })
    }

    pub(super) fn lower_case(&mut self, case: &Case) -> LowerResult<Option<Value>> {
        let subject = match &case.expr {
            Some(subject) => {
                let whens = case.when_then_expr.iter().map(|(when, _)| &**when);
                if self.common_types(whens.chain([&**subject]))?.is_none() {
                    return Ok(None);
                }
                let subject = self.lower_expr(subject)?;
                Some(self.builder.canonicalize_zero(subject))
            }
            None => None,
        };
        let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
        let Some(result) = results.map(|result| self.types(result)).find_map(Result::transpose) else {
            return Ok(None);
        };
        let (data_type, _) = result?;
        self.work.add_select();
        // The rows in which no earlier condition is true.
        let mut reached = self.guard;
        let mut branches = Vec::with_capacity(case.when_then_expr.len());
        for (position, (when, then)) in case.when_then_expr.iter().enumerate() {
            // A null subject matches nothing, and its row is not evaluated.
            let evaluated = match subject {
                Some(subject) if self.builder.may_be_null(subject) => {
                    let null = self.builder.is_null(subject);
                    let known = self.builder.not(null);
                    Some(self.and_guard(reached, known))
                }
                _ => reached,
            };
            let condition = match position {
                0 if evaluated == self.guard => self.lower_when(subject, when)?,
                _ => self.in_conditional(evaluated, |lowerer| lowerer.lower_when(subject, when))?,
            };
            let matched = self.builder.is_true(condition);
            let taken = self.and_guard(reached, matched);
            let value = self.in_conditional(Some(taken), |lowerer| lowerer.lower_result(then, &data_type))?;
            let unmatched = self.builder.not(matched);
            reached = Some(self.and_guard(reached, unmatched));
            branches.push((condition, value));
        }
        let otherwise = match (&case.else_expr, scalar_type(&data_type)) {
            (Some(otherwise), _) => {
                self.in_conditional(reached, |lowerer| lowerer.lower_result(otherwise, &data_type))?
            }
            (None, Some(scalar_type)) => self.builder.null(scalar_type),
            (None, None) => return Err(NotLowered::Type(data_type)),
        };
        Ok(Some(
            branches
                .into_iter()
                .rev()
                .fold(otherwise, |rest, (condition, value)| self.builder.select(condition, value, rest)),
        ))
    }

    /// The condition of a branch: `when`, or whether it equals the subject, which has canonical zeros.
    fn lower_when(&mut self, subject: Option<Value>, when: &Expr) -> LowerResult<Value> {
        let value = self.lower_expr(when)?;
        Ok(match subject {
            Some(subject) => {
                self.work.add_cheap();
                let value = self.builder.canonicalize_zero(value);
                self.builder.compare(Comparison::BitEq, subject, value)
            }
            None => value,
        })
    }

    /// The value of a branch, in the type of the CASE.
    fn lower_result(&mut self, result: &Expr, data_type: &arrow::datatypes::DataType) -> LowerResult<Value> {
        match (result, scalar_type(data_type)) {
            (Expr::Literal(literal, _), Some(scalar_type)) if literal.is_null() => {
                Ok(self.builder.null(scalar_type))
            }
            _ if self.data_type(result)? == *data_type => self.lower_expr(result),
            _ => Err(NotLowered::NoOp("CASE with results of several types".to_owned())),
        }
    }
}
