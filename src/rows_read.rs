//! The progress of a query: the rows that the sources of its plan have produced, and those that they will produce.

use std::sync::Arc;

use datafusion::common::stats::Precision;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use warpframe_datafusion::rows::GenerateExec;

/// The number of rows that the sources of a plan have produced so far.
pub fn rows_read(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    if is_source(plan) {
        plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0) as u64
    } else {
        plan.children().into_iter().map(rows_read).sum()
    }
}

/// The number of rows that the sources of a plan will produce, or `None` if one of them does not know it exactly.
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the command shows progress"))]
pub fn rows_to_read(plan: &Arc<dyn ExecutionPlan>) -> Option<u64> {
    if let Some(generated) = plan.downcast_ref::<GenerateExec>() {
        return generated.rows();
    }
    if !is_source(plan) {
        return plan.children().into_iter().map(rows_to_read).sum();
    }
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new()).ok()?;
    match statistics.num_rows {
        Precision::Exact(rows) => Some(rows as u64),
        Precision::Inexact(_) | Precision::Absent => None,
    }
}

/// Whether an operator is where rows come from: a leaf, or one that generates them. Below the latter there are ranges of row numbers.
fn is_source(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.children().is_empty() || plan.downcast_ref::<GenerateExec>().is_some()
}
