//! The logical rule that replaces built-in functions by more exact ones.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::has_expression::has_expression;
use crate::functions::{exact_expression, is_inexact};

/// Replaces `log`, and `round` and `trunc` with two arguments, of `DOUBLE` and `REAL`, by functions of the same names.
///
/// DataFusion's `log(10, 1000)` is 2.9999999999999996. Its `round(x, n)` is NaN or infinite if `x * 10ⁿ` is too large, fails for
/// `n` beyond 32 bits, and for negative `n` computes with 10ⁿ, which is not exact.
///
/// It also replaces `-(x & y)` by `0 - (x & y)`, and so for the other bit operations: DataFusion takes the negative of a number for
/// its complement, and makes `-x | -y` of it.
///
/// The rule runs first, so that constants are evaluated by these functions.
#[derive(Debug, Default)]
pub struct ExactFunctions;

impl OptimizerRule for ExactFunctions {
    fn name(&self) -> &str {
        "exact_functions"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if matches!(plan, LogicalPlan::TableScan(_)) || !has_expression(&plan, is_inexact)? {
            return Ok(Transformed::no(plan));
        }
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(exact_expression(expr, &schema)?.update_data(|expr| name.restore(expr)))
        })
    }
}
