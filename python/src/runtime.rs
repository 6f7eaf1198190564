//! The tokio runtime of the process, and waiting for its tasks so that Ctrl-C works.

use std::ffi::CString;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyRuntimeWarning, PyTimeoutError};
use pyo3::prelude::*;
use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinHandle};
use warpframe::{flush_cleanup, runtime_builder};

use crate::block_on::block_on_for;
use crate::errors::WarpframeError;

/// How often a waiting thread looks for signals.
pub const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// How long an interrupted call waits for its cleanup.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(10);

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
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut builder = runtime_builder(cores);
    builder.thread_name("warpframe").thread_stack_size(STACK_SIZE);
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
/// The exception of a signal handler, such as `KeyboardInterrupt`: then the future is being dropped, at its next point of
/// suspension. `WarpframeError` if the future panics.
pub fn wait<T: Send + 'static>(
    py: Python<'_>,
    runtime: &Runtime,
    future: impl Future<Output = T> + Send + 'static,
) -> PyResult<T> {
    let mut task = runtime.spawn(future);
    let ended = wait_for_task(py, &mut task, |_| Ok(()));
    if ended.is_err() {
        task.abort();
    }
    ended
}

/// As [`wait`], for a future that writes files: if an exception ends the wait, the files have been removed. Calls `tick`
/// every 50 ms; its exceptions end the wait, too.
///
/// # Errors
/// As for [`wait`].
pub fn wait_for_output<T: Send + 'static>(
    py: Python<'_>,
    runtime: &Runtime,
    future: impl Future<Output = T> + Send + 'static,
    tick: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<T> {
    let mut task = runtime.spawn(future);
    let ended = wait_for_task(py, &mut task, tick);
    if ended.is_err() {
        task.abort();
        let cleanup = async move {
            let _ = task.await;
            flush_cleanup().await
        };
        finish(py, runtime, cleanup);
    }
    ended
}

/// Waits for the cleanup of cancelled queries, for ten seconds at most, if this process has a runtime.
#[pyfunction]
pub fn finish_cleanup(py: Python<'_>) {
    let started = *RUNTIME.lock();
    if let Some((_, runtime)) = started.filter(|(of, _)| *of == std::process::id()) {
        finish(py, runtime, flush_cleanup());
    }
}

fn wait_for_task<T>(
    py: Python<'_>,
    task: &mut JoinHandle<T>,
    mut tick: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<T>
where
    T: Send,
{
    loop {
        match py.detach(|| block_on_for(Pin::new(&mut *task), SIGNAL_INTERVAL)) {
            Some(ended) => return ended.map_err(|error| WarpframeError::new_err(panic_message(error))),
            None => py.check_signals().and_then(|()| tick(py))?,
        }
    }
}

/// Waits for a cleanup for ten seconds at most, or until the next signal, and shows its failures as warnings.
fn finish(py: Python<'_>, runtime: &Runtime, cleanup: impl Future<Output = Vec<String>> + Send + 'static) {
    let end = Instant::now() + CLEANUP_TIMEOUT;
    let mut task = runtime.spawn(cleanup);
    let in_time = |_: Python<'_>| match Instant::now() < end {
        true => Ok(()),
        false => Err(PyTimeoutError::new_err("the cleanup takes too long")),
    };
    if let Ok(failures) = wait_for_task(py, &mut task, in_time) {
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
