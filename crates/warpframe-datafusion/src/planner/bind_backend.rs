//! The logical rule that binds fused functions to the kernels of a backend.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::backends::Backends;
use crate::functions::FusedFunction;

/// Compiles the program of every fused function with the backend of the option `warpframe.backend`, and binds the
/// function to the kernel. `EXPLAIN` shows the kernel's description:
///
/// ```text
/// Projection: log3(rows.x, rows.y, rows.z)
/// Projection: log3[native avx512](rows.x, rows.y, rows.z)
/// ```
///
/// The rule runs last, so that other rules compare functions without their backends. The names of result columns do not
/// change.
#[derive(Debug)]
pub struct BindBackend {
    backends: Arc<Backends>,
}

impl BindBackend {
    /// The rule with a registry of backends.
    pub fn new(backends: Arc<Backends>) -> Self {
        Self { backends }
    }

    fn bind(&self, expression: Expr, config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let Expr::ScalarFunction(mut call) = expression else { return Ok(Transformed::no(expression)) };
        let unbound =
            call.func.inner().downcast_ref::<FusedFunction>().filter(|fused| fused.kernel().is_none());
        let Some(function) = unbound else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
        let kernel = self.backends.kernel(config, function.program())?;
        call.func = Arc::new(ScalarUDF::from(function.with_kernel(kernel)));
        Ok(Transformed::yes(Expr::ScalarFunction(call)))
    }
}

impl OptimizerRule for BindBackend {
    fn name(&self) -> &str {
        "bind_backend"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let config = config.options();
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expression| {
            let name = names.save(&expression);
            let bound = expression.transform_up(|expression| self.bind(expression, &config))?;
            Ok(bound.update_data(|expression| name.restore(expression)))
        })
    }
}
