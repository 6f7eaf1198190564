//! The logical rule that settles which backend evaluates warpframe's functions in a query.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::backend::Backend;
use crate::config::WarpframeOptions;
use crate::functions::{Fused, Log3};

/// Replaces every call of a warpframe function by the same function bound to the backend that the
/// session's `warpframe.backend` means on this machine, so that `EXPLAIN` shows what will run:
///
/// ```text
/// Projection: log3(rows.x, rows.y, rows.z)
/// Projection: log3[simd avx512](rows.x, rows.y, rows.z)
/// ```
///
/// It runs last, so that the other rules see the function under its own name. The names of the result
/// columns stay as they were.
#[derive(Debug, Default)]
pub struct BindBackend;

impl OptimizerRule for BindBackend {
    fn name(&self) -> &str {
        "bind_backend"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let choice = WarpframeOptions::of(&config.options()).backend;
        // Resolved at the first call of a function of ours: most plans have none.
        let mut backend = None;
        plan.map_expressions(|expression| {
            expression.transform_up(|expression| {
                bind(expression, || match &backend {
                    Some(backend) => Ok(Arc::clone(backend)),
                    None => Ok(Arc::clone(backend.insert(choice.resolve()?))),
                })
            })
        })
    }
}

fn bind(expression: Expr, backend: impl FnOnce() -> Result<Arc<dyn Backend>>) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(mut call) = expression else {
        return Ok(Transformed::no(expression));
    };
    match call.func.inner().downcast_ref::<Log3>() {
        Some(function) if !function.is_bound() => {
            call.func = Arc::new(ScalarUDF::from(Log3::bound_to(backend()?)));
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        _ => match call.func.inner().downcast_ref::<Fused>() {
            Some(function) if !function.is_bound() => {
                call.func = Arc::new(ScalarUDF::from(function.bound_to(backend()?)));
                Ok(Transformed::yes(Expr::ScalarFunction(call)))
            }
            _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
        },
    }
}
