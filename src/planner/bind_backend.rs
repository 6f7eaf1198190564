//! The logical rule that settles which backend evaluates warpframe's functions in a query.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, ScalarUDF};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::backend::{Backend, BackendChoice};
use crate::config::WarpframeOptions;
use crate::functions::{Fused, Log3};
use crate::program::{self, Precision, Program};

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
        let config = config.options();
        let (options, threads) = (WarpframeOptions::of(&config), config.execution.target_partitions);
        // A backend for all functions of the plan, but that `auto` decides for each.
        let mut shared = None;
        let mut backend = |program: &Program| match (&shared, options.backend) {
            (_, BackendChoice::Auto) => options.resolve_for(program, threads),
            (Some(backend), _) => Ok(Arc::clone(backend)),
            (None, _) => Ok(Arc::clone(shared.insert(options.resolve()?))),
        };
        let schema = merge_schema(&plan.inputs());
        plan.map_expressions(|expression| {
            expression.transform_up(|expression| bind(expression, &schema, &mut backend))
        })
    }
}

fn bind(
    expression: Expr,
    schema: &DFSchema,
    mut backend: impl FnMut(&Program) -> Result<Arc<dyn Backend>>,
) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(mut call) = expression else {
        return Ok(Transformed::no(expression));
    };
    let function = call.func.inner();
    let bound = if let Some(function) =
        function.downcast_ref::<Log3>().filter(|log3| log3.backend().is_none())
    {
        let single =
            call.args.iter().all(|argument| matches!(argument.get_type(schema), Ok(DataType::Float32)));
        let precision = if single { Precision::Single } else { Precision::Double };
        Some(ScalarUDF::from(function.bound_to(backend(program::log3(precision))?)))
    } else if let Some(function) = function.downcast_ref::<Fused>().filter(|fused| fused.backend().is_none())
    {
        Some(ScalarUDF::from(function.bound_to(backend(function.program())?)))
    } else {
        None
    };
    Ok(match bound {
        Some(bound) => {
            call.func = Arc::new(bound);
            Transformed::yes(Expr::ScalarFunction(call))
        }
        None => Transformed::no(Expr::ScalarFunction(call)),
    })
}
