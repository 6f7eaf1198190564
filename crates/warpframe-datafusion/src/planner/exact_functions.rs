//! The logical rule that replaces built-in functions by more exact ones.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, ScalarUDF, cast};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::functions::{exact_log, exact_round, exact_trunc};

/// Replaces `log`, and `round` and `trunc` with two arguments, of `DOUBLE` and `REAL`, by functions of the same names.
///
/// DataFusion's `log(10, 1000)` is 2.9999999999999996. Its `round(x, n)` is NaN or infinite if `x * 10ⁿ` is too large, fails for
/// `n` beyond 32 bits, and for negative `n` computes with 10ⁿ, which is not exact.
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
        if matches!(plan, LogicalPlan::TableScan(_)) {
            return Ok(Transformed::no(plan));
        }
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let replaced = expr.transform_up(|expr| {
                let call = match &expr {
                    Expr::ScalarFunction(call) => replacement(call, &schema)?,
                    _ => None,
                };
                Ok(call.map_or_else(|| Transformed::no(expr), Transformed::yes))
            })?;
            Ok(replaced.update_data(|expr| name.restore(expr)))
        })
    }
}

static LOG: LazyLock<Arc<ScalarUDF>> = LazyLock::new(datafusion::functions::math::log);
static ROUND: LazyLock<Arc<ScalarUDF>> = LazyLock::new(datafusion::functions::math::round);
static TRUNC: LazyLock<Arc<ScalarUDF>> = LazyLock::new(datafusion::functions::math::trunc);

fn replacement(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let is_float = |expr: &Expr| -> Result<Option<DataType>> {
        let data_type = expr.get_type(schema)?;
        Ok(matches!(data_type, DataType::Float32 | DataType::Float64).then_some(data_type))
    };
    Ok(match &call.args[..] {
        [x] if call.func == *LOG => match is_float(x)? {
            Some(data_type) => {
                let ten = Expr::Literal(ScalarValue::new_ten(&data_type)?, None);
                Some(exact_log().call(vec![ten, x.clone()]))
            }
            None => None,
        },
        [base, x] if call.func == *LOG => match (is_float(base)?, is_float(x)?) {
            (Some(base_type), Some(data_type)) if base_type == data_type => {
                Some(exact_log().call(vec![base.clone(), x.clone()]))
            }
            _ => None,
        },
        [x, n] if call.func == *ROUND || call.func == *TRUNC => match is_float(x)? {
            Some(data_type) => {
                let function = if call.func == *ROUND { exact_round() } else { exact_trunc() };
                Some(function.call(vec![x.clone(), cast(places(n, schema)?, data_type)]))
            }
            None => None,
        },
        _ => None,
    })
}

/// The number of decimal places in its own type, which DataFusion has cast to one of 32 bits.
fn places(n: &Expr, schema: &DFSchema) -> Result<Expr> {
    if let Expr::Cast(Cast { expr, .. }) = n
        && expr.get_type(schema)?.is_integer()
    {
        return Ok(expr.as_ref().clone());
    }
    Ok(n.clone())
}
