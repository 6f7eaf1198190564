//! The expression planner that replaces long chains of operators by fused functions.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, ScalarUDF};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::balance::{MAX_CHAIN, MAX_CONDITIONS, is_marked};
use crate::functions::FusedFunction;
use crate::lowering::lower;

/// The operators that are fused at a time. Lowering makes inputs of much deeper expressions.
const AT_A_TIME: usize = 64;

/// Replaces long chains of arithmetic operators by fused functions while a statement is planned, and parts of the conjunctions that
/// [`balance`](super::balance()) has marked:
///
/// ```text
/// SELECT a + b + c + ... FROM t
/// Projection: fused(64 operators)(t.a, t.b, t.c, ...) + ...
/// ```
///
/// The next part contains the function, which has no depth. Names of columns are those of the whole expressions.
#[derive(Debug, Default)]
pub struct LongChains;

impl ExprPlanner for LongChains {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let Some(op) = operator(&raw.op) else { return Ok(PlannerResult::Original(raw)) };
        let operators = if op == Operator::And {
            1 + conjunctions([&raw.left, &raw.right])
        } else {
            1 + chain_length(&raw.left)
        };
        // If there is no program for a part, there is none for the whole.
        let is_part = match op {
            Operator::And => (AT_A_TIME..=2 * AT_A_TIME).contains(&operators),
            _ => operators == AT_A_TIME,
        };
        if is_part
            && let Some(fused) = fuse(binary(raw.left.clone(), op, raw.right.clone()), operators, schema)
        {
            return Ok(PlannerResult::Planned(fused));
        }
        let limit = if op == Operator::And { MAX_CONDITIONS } else { MAX_CHAIN };
        if operators > limit {
            return plan_err!(
                "an expression has a chain of more than {limit} operators, which can be planned if all of them compute \
                 floating-point numbers, integers or Booleans: use an IN list, or a table and a join or an aggregate function"
            );
        }
        Ok(match op {
            Operator::And => PlannerResult::Planned(binary(raw.left, op, raw.right)),
            _ => PlannerResult::Original(raw),
        })
    }
}

/// The operator of a chain that is fused if it is long.
fn operator(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Modulo => Operator::Modulo,
        BinaryOperator::BitwiseAnd => Operator::BitwiseAnd,
        BinaryOperator::BitwiseOr => Operator::BitwiseOr,
        marked if is_marked(marked) => Operator::And,
        _ => return None,
    })
}

/// The number of binary operators from an expression down to its first operand.
fn chain_length(mut expr: &Expr) -> usize {
    let mut operators = 0;
    while let Expr::BinaryExpr(BinaryExpr { left, .. }) = expr {
        operators += 1;
        expr = left;
    }
    operators
}

/// The number of AND in a tree of AND.
fn conjunctions<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> usize {
    let (mut pending, mut operators) = (Vec::from_iter(exprs), 0);
    while let Some(expr) = pending.pop() {
        if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) = expr {
            operators += 1;
            pending.extend([&**left, &**right]);
        }
    }
    operators
}

/// The fused function of an expression; `None` if there is no program for it.
fn fuse(expr: Expr, operators: usize, schema: &DFSchema) -> Option<Expr> {
    let context = SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build();
    let name = expr.schema_name().to_string();
    let expr = ExprSimplifier::new(context).coerce(expr, schema).ok()?;
    let lowered = lower(&expr, schema).ok()?;
    let nullable = expr.nullable(schema).ok()?;
    let label = format!("fused({operators} operators)");
    let function = FusedFunction::new(Arc::new(lowered.program), label, name, nullable);
    Some(ScalarUDF::from(function).call(lowered.arguments))
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}
