//! Cleanup that runs in the background after the query, output or session it belongs to has been dropped:
//! cancelling jobs on a cluster, removing objects, and completing changes that have begun.

use std::time::Duration;

use datafusion::common::{DataFusionError, Result, exec_err};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long [`flush_cleanup`] waits.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// The cleanup tasks of this process that may still be running.
static RUNNING: Mutex<Vec<JoinHandle<Result<()>>>> = Mutex::new(Vec::new());

/// Spawns a cleanup task on the current tokio runtime. Outside a runtime the future is dropped without being run.
pub fn spawn_cleanup(cleanup: impl Future<Output = Result<()>> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let mut running = RUNNING.lock();
        running.retain(|cleanup| !cleanup.is_finished());
        running.push(runtime.spawn(cleanup));
    }
}

/// Runs a future to completion, even if the returned future is dropped. In that case its error is reported by
/// [`flush_cleanup`].
///
/// # Errors
/// The error of the future, or the tokio runtime has shut down.
pub async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (done, outcome) = oneshot::channel();
    spawn_cleanup(async move {
        match done.send(work.await) {
            Ok(()) => Ok(()),
            // The receiver has been dropped.
            Err(outcome) => outcome.map(|_| ()),
        }
    });
    match outcome.await {
        Ok(outcome) => outcome,
        Err(_) => exec_err!("the tokio runtime has shut down before the operation was complete"),
    }
}

/// Waits for all background cleanup of this process, for ten seconds at most. Returns a message for each
/// cleanup that failed, and one if the time was not enough.
///
/// Call it before the process exits: otherwise cancelled queries may keep running on a cluster, and parts of
/// cancelled outputs may stay in an object store.
pub async fn flush_cleanup() -> Vec<String> {
    let mut failures = Vec::new();
    let flushed = async {
        loop {
            // A cleanup can spawn another one.
            let running = std::mem::take(&mut *RUNNING.lock());
            if running.is_empty() {
                break;
            }
            for outcome in futures::future::join_all(running).await {
                if let Ok(Err(error)) = outcome {
                    failures.push(error.find_root().message().into_owned());
                }
            }
        }
    };
    if tokio::time::timeout(FLUSH_TIMEOUT, flushed).await.is_err() {
        failures.push(format!(
            "the cleanup did not finish within {} seconds: a cluster may still run a cancelled query, and an object store may hold parts of a cancelled output",
            FLUSH_TIMEOUT.as_secs()
        ));
    }
    failures
}

/// Adds the error of a cleanup, if it failed, to the error that made the cleanup necessary.
pub(super) fn with_cleanup_error(error: DataFusionError, cleanup: Result<()>) -> DataFusionError {
    match cleanup {
        Ok(()) => error,
        Err(cleanup) => {
            let (error, cleanup) = (error.find_root().message(), cleanup.find_root().message());
            DataFusionError::Execution(format!("{error}; and afterwards: {cleanup}"))
        }
    }
}
