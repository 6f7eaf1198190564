//! The progress of a query on a terminal.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::ExecutionPlan;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use warpframe_io::Progress;

use crate::cluster::as_cluster_exec;
use crate::rows_read::{rows_read, rows_to_read};
use crate::terminal_text::escape_controls;

/// How long a query runs before its progress is shown.
const DELAY: Duration = Duration::from_secs(1);

const INTERVAL: Duration = Duration::from_millis(200);

/// Shows the rows that a query has read, from its second second until the value is dropped. Nothing is shown if stderr is no
/// terminal.
pub struct QueryProgress(Option<(JoinHandle<()>, ProgressBar)>);

impl QueryProgress {
    /// Shows nothing.
    pub fn hidden() -> Self {
        Self(None)
    }

    /// Watches a plan that is being executed on the current tokio runtime.
    pub fn watch(plan: &Arc<dyn ExecutionPlan>) -> Self {
        // The progress of a query on a cluster is that of its tasks.
        match as_cluster_exec(plan) {
            Some(_) => Self::hidden(),
            None => Self::show(Some(Arc::clone(plan))),
        }
    }

    /// Shows the time that a statement takes whose plan is not known here, such as `CREATE TABLE AS`.
    pub fn elapsed() -> Self {
        Self::show(None)
    }

    fn show(plan: Option<Arc<dyn ExecutionPlan>>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if bar.is_hidden() {
            return Self::hidden();
        }
        let shown = bar.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(DELAY).await;
            let total = plan.as_ref().and_then(rows_to_read);
            let style = match (&plan, total) {
                (Some(_), Some(_)) => {
                    "{bar:32} {percent:>3}%  {human_pos} of {human_len} rows read  {elapsed}  ETA {eta}"
                }
                (Some(_), None) => "{spinner} {human_pos} rows read  {elapsed}",
                (None, _) => "{spinner} {elapsed}",
            };
            if let Ok(style) = ProgressStyle::with_template(style) {
                shown.set_style(style);
            }
            if let Some(total) = total {
                shown.set_length(total);
            }
            loop {
                let read = plan.as_ref().map_or(0, rows_read);
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

/// The progress of a query that is planned where its rows are written.
#[derive(Default)]
pub struct WrittenProgress(Mutex<Option<QueryProgress>>);

impl Progress for WrittenProgress {
    fn start(&self, _rows: u64) {}

    fn position(&self, _rows: u64) {}

    fn executing(&self, plan: &Arc<dyn ExecutionPlan>) {
        *self.0.lock() = Some(QueryProgress::watch(plan));
    }

    fn warn(&self, message: &str) {
        eprintln!("warning: {}", escape_controls(message));
    }
}

/// A writer to the terminal, on which the progress ends with the first bytes.
pub struct ClearProgress<W> {
    out: W,
    progress: Option<QueryProgress>,
}

impl<W> ClearProgress<W> {
    /// Writes to `out`; what it writes takes the place of `progress`.
    pub fn new(out: W, progress: QueryProgress) -> Self {
        Self { out, progress: Some(progress) }
    }
}

impl<W: Write> Write for ClearProgress<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.progress = None;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
