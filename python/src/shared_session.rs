//! The engine's session, which a Python session shares with its queries.

use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The engine's session of a Python session, which its queries share. `None` when it is closed.
pub struct SharedSession(Mutex<Option<warpframe::Session>>);

impl SharedSession {
    /// A session that is open.
    pub fn new(session: warpframe::Session) -> Self {
        Self(Mutex::new(Some(session)))
    }

    /// Closes the session. Queries that run go on.
    pub fn close(&self) {
        let session = self.0.lock().take();
        // Not under the lock: to drop a session may take a while.
        drop(session);
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.0.lock().is_none()
    }

    /// The session.
    ///
    /// # Errors
    /// `ValueError`: it is closed.
    pub fn get(&self) -> PyResult<warpframe::Session> {
        self.0.lock().clone().ok_or_else(|| PyValueError::new_err("the session is closed"))
    }
}
