//! The progress of a query on a terminal.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::cluster::as_cluster_exec;
use crate::rows_read::rows_read;

/// How long a query runs before its progress is shown.
const DELAY: Duration = Duration::from_secs(1);

const INTERVAL: Duration = Duration::from_millis(200);

/// Shows the rows that a query has read, from its second second until the value is dropped. Nothing is shown if stderr is no
/// terminal.
pub struct QueryProgress(Option<(JoinHandle<()>, ProgressBar)>);

impl QueryProgress {
    /// Watches a plan that is being executed on the current tokio runtime.
    pub fn watch(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // The progress of a query on a cluster is that of its tasks.
        if bar.is_hidden() || as_cluster_exec(plan).is_some() {
            return Self(None);
        }
        let (plan, shown) = (Arc::clone(plan), bar.clone());
        let task = tokio::spawn(async move {
            tokio::time::sleep(DELAY).await;
            let total = rows_to_read(&plan);
            let style = match total {
                Some(_) => {
                    "{bar:32} {percent:>3}%  {human_pos} of {human_len} rows read  {elapsed}  ETA {eta}"
                }
                None => "{spinner} {human_pos} rows read  {elapsed}",
            };
            if let Ok(style) = ProgressStyle::with_template(style) {
                shown.set_style(style);
            }
            if let Some(total) = total {
                shown.set_length(total);
            }
            loop {
                let read = rows_read(&plan);
                shown.set_position(total.map_or(read, |total| read.min(total)));
                shown.tick();
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self(Some((task, bar)))
    }
}

impl Drop for QueryProgress {
    fn drop(&mut self) {
        if let Some((task, bar)) = self.0.take() {
            task.abort();
            bar.finish_and_clear();
        }
    }
}

/// The number of rows that the leaves of a plan will produce, or `None` if one of them does not know it exactly.
fn rows_to_read(plan: &Arc<dyn ExecutionPlan>) -> Option<u64> {
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
