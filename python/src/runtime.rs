//! The tokio runtime of the process, and waiting for its tasks so that Ctrl-C works.

use std::ffi::CString;
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyRuntimeWarning};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;
use tokio::time::timeout;
use warpframe::flush_cleanup;

use crate::errors::WarpframeError;

/// How often a waiting thread looks for signals.
pub const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// How long an interrupted call waits for its task to end.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// The stack of a worker thread, in bytes: planning is recursive, and Python code calls it with the stack of a main thread.
const STACK_SIZE: usize = 8 << 20;

/// The runtime, and the process that has its threads. Only threads that have the GIL lock it, and `os.fork` has the GIL: it
/// is never locked in a child process.
static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// The runtime of this process, with one worker thread per core. The first call starts it.
///
/// # Errors
/// `OSError`: the threads cannot be started.
pub fn runtime(_py: Python<'_>) -> PyResult<&'static Runtime> {
    let mut started = RUNTIME.lock();
    let process = std::process::id();
    if let Some((_, runtime)) = started.filter(|(of, _)| *of == process) {
        return Ok(runtime);
    }
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().thread_name("warpframe").thread_stack_size(STACK_SIZE);
    let runtime =
        builder.build().map_err(|error| PyOSError::new_err(format!("cannot start threads: {error}")))?;
    // It lives as long as the process. A child process does not drop the runtime of its parent, whose threads it lacks.
    let runtime: &'static Runtime = Box::leak(Box::new(runtime));
    *started = Some((process, runtime));
    Ok(runtime)
}

/// Runs a future on the runtime and waits for it without the GIL.
///
/// # Errors
/// The exception of a signal handler, such as `KeyboardInterrupt`: then the future has been dropped, and its cleanup is
/// complete. `WarpframeError` if the future panics.
pub fn wait<T: Send + 'static>(
    py: Python<'_>,
    runtime: &'static Runtime,
    future: impl Future<Output = T> + Send + 'static,
) -> PyResult<T> {
    wait_with(py, runtime, future, |_| Ok(()))
}

/// As [`wait`], and calls `tick` every 50 ms. Its exceptions end the wait as those of signal handlers do.
///
/// # Errors
/// As for [`wait`].
pub fn wait_with<T: Send + 'static>(
    py: Python<'_>,
    runtime: &'static Runtime,
    future: impl Future<Output = T> + Send + 'static,
    mut tick: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<T> {
    let mut task = runtime.spawn(future);
    loop {
        let done = py.detach(|| runtime.block_on(async { timeout(SIGNAL_INTERVAL, &mut task).await }));
        if let Ok(done) = done {
            return done.map_err(|error| WarpframeError::new_err(panic_message(error)));
        }
        if let Err(exception) = py.check_signals().and_then(|()| tick(py)) {
            task.abort();
            let failures = py.detach(|| {
                runtime.block_on(async {
                    let _ = timeout(CANCEL_TIMEOUT, &mut task).await;
                    flush_cleanup().await
                })
            });
            warn(py, &failures);
            return Err(exception);
        }
    }
}

/// Waits for the cleanup of cancelled queries, for ten seconds at most, if this process has a runtime.
#[pyfunction]
pub fn finish_cleanup(py: Python<'_>) {
    let started = *RUNTIME.lock();
    if let Some((_, runtime)) = started.filter(|(of, _)| *of == std::process::id()) {
        let failures = py.detach(|| runtime.block_on(flush_cleanup()));
        warn(py, &failures);
    }
}

/// Issues a `RuntimeWarning` for each message. A filter that makes errors of warnings is ignored: another exception, or
/// none, is on its way.
fn warn(py: Python<'_>, messages: &[String]) {
    let category = py.get_type::<PyRuntimeWarning>();
    for message in messages {
        if let Ok(message) = CString::new(message.replace('\0', " ")) {
            let _ = PyErr::warn(py, &category, &message, 1);
        }
    }
}

/// The message for a task that has panicked.
pub fn panic_message(error: JoinError) -> String {
    let what = match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    format!("the work was stopped by an error inside the program; is a file that it reads damaged? ({what})")
}
