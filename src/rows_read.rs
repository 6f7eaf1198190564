//! The progress of a query: the rows that the leaves of its plan have produced, and how many they will.

use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

/// The number of rows that the leaves of a plan have produced so far.
pub fn rows_read(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let children = plan.children();
    if children.is_empty() {
        plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0) as u64
    } else {
        children.into_iter().map(rows_read).sum()
    }
}

/// The number of rows that the leaves of a plan will produce, or `None` if one of them does not know it exactly.
pub fn rows_to_read(plan: &Arc<dyn ExecutionPlan>) -> Option<u64> {
    let children = plan.children();
    if children.is_empty() {
        return match statistics(plan)?.num_rows {
            Precision::Exact(rows) => Some(rows as u64),
            Precision::Inexact(_) | Precision::Absent => None,
        };
    }
    children.into_iter().map(rows_to_read).sum()
}

fn statistics(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<Statistics>> {
    StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new()).ok()
}
