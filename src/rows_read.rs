//! The progress of a query: the rows that the leaves of its plan have produced.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

/// The number of rows that the leaves of a plan have produced so far.
pub fn rows_read(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let children = plan.children();
    if children.is_empty() {
        plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0) as u64
    } else {
        children.into_iter().map(rows_read).sum()
    }
}
