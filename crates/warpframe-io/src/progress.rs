//! The progress callback of runs.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

/// A callback for the progress of a run. It is called from several threads.
pub trait Progress: Send + Sync {
    /// The run starts and will process `rows` input rows; 0 if their number is not known.
    fn start(&self, rows: u64);

    /// `rows` input rows have been processed so far.
    fn position(&self, rows: u64);

    /// The plan of the rows runs now. Its operators count the rows that they read.
    fn executing(&self, _plan: &Arc<dyn ExecutionPlan>) {}

    /// A warning for the user.
    fn warn(&self, message: &str);

    /// What the user should know about the input. It is no fault.
    fn note(&self, message: &str) {
        self.warn(message);
    }
}

/// Ignores all progress.
impl Progress for () {
    fn start(&self, _rows: u64) {}
    fn position(&self, _rows: u64) {}
    fn warn(&self, _message: &str) {}
}
