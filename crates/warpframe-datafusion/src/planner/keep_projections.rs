//! The physical rule that keeps scans from computing the expressions of projections.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
};

use crate::functions::FusedFunction;

/// Applies DataFusion's `ProjectionPushdown`, but keeps projections that compute fused functions above the scans. A scan of
/// Parquet files evaluates the expressions that are pushed into it one by one; above it,
/// [`FuseOperators`](super::FuseOperators) can make one operator of them. Projections with other functions are pushed down, as
/// scans define some of them, such as `file_row_index`.
#[derive(Debug)]
pub struct KeepProjections {
    pushdown: Arc<dyn PhysicalOptimizerRule + Send + Sync>,
}

impl KeepProjections {
    /// Replaces the rule `ProjectionPushdown` wherever it is in a list of rules.
    pub fn wrap(rules: &mut [Arc<dyn PhysicalOptimizerRule + Send + Sync>]) {
        for rule in rules.iter_mut().filter(|rule| rule.name() == "ProjectionPushdown") {
            *rule = Arc::new(Self { pushdown: Arc::clone(rule) });
        }
    }
}

impl PhysicalOptimizerRule for KeepProjections {
    fn name(&self) -> &str {
        self.pushdown.name()
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = plan.transform_up(|node| {
            let computes = node.downcast_ref::<ProjectionExec>().is_some_and(computes);
            Ok(match computes {
                true => Transformed::yes(Arc::new(Kept(node)) as Arc<dyn ExecutionPlan>),
                false => Transformed::no(node),
            })
        });
        let pushed_down = self.pushdown.optimize(kept.data()?, config)?;
        let restored = pushed_down.transform_up(|node| {
            Ok(match node.downcast_ref::<Kept>() {
                Some(Kept(projection)) => Transformed::yes(Arc::clone(projection)),
                None => Transformed::no(node),
            })
        });
        restored.data()
    }

    fn schema_check(&self) -> bool {
        self.pushdown.schema_check()
    }
}

/// Whether a projection computes fused functions, and no others.
fn computes(projection: &ProjectionExec) -> bool {
    let (mut fused, mut others) = (false, false);
    for one in projection.expr() {
        let visited = one.expr.apply(|expr| {
            if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() {
                match call.fun().inner().is::<FusedFunction>() {
                    true => fused = true,
                    false => others = true,
                }
            }
            Ok(TreeNodeRecursion::Continue)
        });
        others |= visited.is_err();
    }
    fused && !others
}

/// A projection that is not changed while the rule runs.
#[derive(Debug)]
struct Kept(Arc<dyn ExecutionPlan>);

impl DisplayAs for Kept {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt_as(format, f)
    }
}

impl ExecutionPlan for Kept {
    fn name(&self) -> &str {
        "Kept"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.0.children()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.0.maintains_input_order()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(f)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self(replace_children_if_necessary(Arc::clone(&self.0), children)?)))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        internal_err!("the placeholder of a projection cannot be executed")
    }
}
