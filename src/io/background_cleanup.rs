//! Work that goes on after the query, the output or the session that it belongs to has been dropped: schedulers
//! and object stores are told of it, and a change that has begun is brought to its end.

use std::time::Duration;

use datafusion::common::{DataFusionError, Result, exec_err};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long the end of a process waits for it.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

static RUNNING: Mutex<Vec<JoinHandle<Result<()>>>> = Mutex::new(Vec::new());

/// Runs a clean-up on the current tokio runtime. Without a runtime it is not run.
pub(crate) fn spawn_cleanup(cleanup: impl Future<Output = Result<()>> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let mut running = RUNNING.lock();
        running.retain(|cleanup| !cleanup.is_finished());
        running.push(runtime.spawn(cleanup));
    }
}

/// Runs something to its end, also where the future that is returned is dropped. Its error then is one of a clean-up.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (done, outcome) = oneshot::channel();
    spawn_cleanup(async move {
        match done.send(work.await) {
            Ok(()) => Ok(()),
            // Nobody waits for it any more.
            Err(outcome) => outcome.map(|_| ()),
        }
    });
    match outcome.await {
        Ok(outcome) => outcome,
        Err(_) => exec_err!("the runtime has ended before its work"),
    }
}

/// Waits until the clean-up of what this process has given up or finished is done, for ten seconds at most, and says
/// what of it has failed, a sentence each. A program that ends earlier leaves cancelled queries running on clusters,
/// and parts of cancelled outputs in object stores.
pub async fn flush_cleanup() -> Vec<String> {
    let mut failures = Vec::new();
    let flushed = async {
        loop {
            // Clean-up can need more of it.
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
            "the clean-up did not end within {} seconds: a cluster may still run a cancelled query, and an object store may hold parts of a cancelled output",
            FLUSH_TIMEOUT.as_secs()
        ));
    }
    failures
}

/// An error, and what its clean-up has left.
pub(crate) fn with_cleanup(error: DataFusionError, cleanup: Result<()>) -> DataFusionError {
    match cleanup {
        Ok(()) => error,
        Err(left) => {
            let (error, left) = (error.find_root().message(), left.find_root().message());
            DataFusionError::Execution(format!("{error}; and afterwards: {left}"))
        }
    }
}
