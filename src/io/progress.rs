//! How far a run has come.

/// Hears how far a run has come. Called from several threads.
pub trait Progress: Send + Sync {
    /// The run begins and will process `rows` rows.
    fn start(&self, rows: u64);

    /// `rows` rows are done so far.
    fn position(&self, rows: u64);

    /// Something that the user should know and that is no error.
    fn warn(&self, message: &str);
}

/// Hears nothing.
impl Progress for () {
    fn start(&self, _rows: u64) {}
    fn position(&self, _rows: u64) {}
    fn warn(&self, _message: &str) {}
}
