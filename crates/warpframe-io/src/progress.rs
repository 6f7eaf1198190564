//! The progress callback of runs.

/// A callback for the progress of a run. It is called from several threads.
pub trait Progress: Send + Sync {
    /// The run starts and will process `rows` input rows; 0 if their number is not known.
    fn start(&self, rows: u64);

    /// `rows` input rows have been processed so far.
    fn position(&self, rows: u64);

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
