//! The reasons why operators are not fused.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use super::fuse_aggregate::fuse_aggregate;
use super::fused_operators::{FusedOperators, Purpose};
use crate::backends::Backends;
use crate::operators::NotFused;

/// The filters, projections with operations, and first stages of aggregations in a physical plan that
/// [`FuseOperators`](super::FuseOperators) has left, each with the reason.
///
/// # Errors
/// An operator refers to columns that do not exist.
pub fn not_fused_operators(
    plan: &Arc<dyn ExecutionPlan>,
    backends: &Backends,
    config: &ConfigOptions,
) -> Result<Vec<String>> {
    let operators = FusedOperators { backends, config };
    let mut reasons = Vec::new();
    plan.apply(|node| {
        let reason = match node.downcast_ref::<AggregateExec>() {
            Some(aggregate) => fuse_aggregate(aggregate, &operators)?.and_then(Result::err),
            None if is_renaming(node) => None,
            None => operators.reason(node)?,
        };
        if let Some(reason) = reason {
            let operator = DisplayableExecutionPlan::new(node.as_ref()).one_line().to_string();
            reasons.push(format!("{}: {reason}", operator.trim_end()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(reasons)
}

impl FusedOperators<'_> {
    /// The reason why an operator is not fused; `None` if it is fused, or of a kind that never is.
    fn reason(&self, node: &Arc<dyn ExecutionPlan>) -> Result<Option<NotFused>> {
        let fused = self.fuse(node, 0, Purpose::Rows)?;
        Ok(fused.err().filter(|reason| !matches!(reason, NotFused::OtherOperator)))
    }
}

/// Whether an operator only selects and renames columns.
fn is_renaming(node: &Arc<dyn ExecutionPlan>) -> bool {
    let is_column = |expr: &Arc<dyn PhysicalExpr>| expr.is::<Column>();
    node.downcast_ref::<ProjectionExec>()
        .is_some_and(|projection| projection.expr().iter().all(|one| is_column(&one.expr)))
}
