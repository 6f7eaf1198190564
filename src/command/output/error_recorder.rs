//! A writer that records its last error. Arrow's writers return I/O errors as text only; the recorded error still has
//! its kind.

use std::io::{Error, ErrorKind, Result, Write};
use std::sync::Arc;

use parking_lot::Mutex;

/// Passes everything on to `inner`, and records the last error of `inner` in a [`LastError`].
pub struct ErrorRecorder<W> {
    inner: W,
    last: LastError,
}

/// The last error of an [`ErrorRecorder`]. Clones refer to the same error.
#[derive(Clone, Default)]
pub struct LastError(Arc<Mutex<Option<Error>>>);

impl LastError {
    /// Returns the last error, if any, and forgets it.
    pub fn take(&self) -> Option<Error> {
        self.0.lock().take()
    }
}

impl<W: Write> ErrorRecorder<W> {
    /// Wraps a writer. The second value gives access to its last error while the writer is borrowed or moved.
    pub fn new(inner: W) -> (Self, LastError) {
        let last = LastError::default();
        (Self { inner, last: last.clone() }, last)
    }

    fn record<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.kind() != ErrorKind::Interrupted
        {
            *self.last.0.lock() = Some(copy(error));
        }
        result
    }
}

impl<W: Write> Write for ErrorRecorder<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.inner.write(bytes);
        self.record(written)
    }

    fn flush(&mut self) -> Result<()> {
        let flushed = self.inner.flush();
        self.record(flushed)
    }
}

/// `std::io::Error` is not `Clone`.
fn copy(error: &Error) -> Error {
    match error.raw_os_error() {
        Some(code) => Error::from_raw_os_error(code),
        None => Error::new(error.kind(), error.to_string()),
    }
}
