//! Why the scheduler has cancelled jobs. Ballista's cancellation has no reason, so it is kept here, and clients ask for it.

use std::collections::HashMap;

use parking_lot::Mutex;

/// The reasons, by job id.
#[derive(Debug, Default)]
pub(super) struct Cancellations(Mutex<HashMap<String, String>>);

impl Cancellations {
    /// Sets the reason before the job is cancelled. The first one stays.
    pub fn add(&self, job: &str, reason: String) {
        self.0.lock().entry(job.to_owned()).or_insert(reason);
    }

    /// The reason for which the scheduler has cancelled a job; `None` if it has not.
    pub fn reason(&self, job: &str) -> Option<String> {
        self.0.lock().get(job).cloned()
    }

    /// The scheduler forgets the job.
    pub fn forget(&self, job: &str) {
        self.0.lock().remove(job);
    }
}
