//! The physical rule that keeps scans from computing the expressions of projections.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
};

/// Applies DataFusion's `ProjectionPushdown`, but keeps projections that compute expressions above the scans. A scan of Parquet
/// files evaluates the expressions that are pushed into it one by one; above it,
/// [`FuseOperators`](super::FuseOperators) can make one operator of them.
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

/// Whether a projection computes an expression.
fn computes(projection: &ProjectionExec) -> bool {
    let is_free = |expr: &Arc<dyn PhysicalExpr>| expr.is::<Column>() || expr.is::<Literal>();
    projection.expr().iter().any(|one| !is_free(&one.expr))
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
