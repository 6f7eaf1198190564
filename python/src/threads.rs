//! The threads that evaluate functions of arrays.

use std::num::NonZeroUsize;
use std::process;
use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::WarpframeError;

/// The pool, and the process that made it: threads do not exist in the children of a fork.
struct Pool {
    process: u32,
    threads: Arc<ThreadPool>,
}

#[derive(Default)]
struct State {
    pool: Option<Pool>,
    /// The number of threads that was asked for.
    wanted: Option<NonZeroUsize>,
}

/// Only threads that have the GIL lock it, and `os.fork` has the GIL: it is never locked in a child process.
static STATE: Mutex<State> = Mutex::new(State { pool: None, wanted: None });

/// The number of threads that was asked for, or that of the cores that this process may use.
fn count(state: &State) -> usize {
    let available = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    state.wanted.map_or_else(available, NonZeroUsize::get)
}

/// The threads, which are started by the first call.
///
/// # Errors
/// The operating system refuses a thread.
pub fn pool(_py: Python<'_>) -> PyResult<Arc<ThreadPool>> {
    let mut state = STATE.lock();
    match state.pool.take() {
        Some(pool) if pool.process == process::id() => {
            let threads = Arc::clone(&pool.threads);
            state.pool = Some(pool);
            return Ok(threads);
        }
        // The pool of the parent process would wait for its threads.
        inherited => std::mem::forget(inherited),
    }
    let builder = ThreadPoolBuilder::new().num_threads(count(&state));
    let threads = builder.thread_name(|position| format!("warpframe-{position}")).build();
    let threads = Arc::new(threads.map_err(|error| WarpframeError::new_err(error.to_string()))?);
    state.pool = Some(Pool { process: process::id(), threads: Arc::clone(&threads) });
    Ok(threads)
}

/// Sets the number of threads that evaluate functions of arrays, of 1 or more. By default it is the number of cores that the
/// process may use.
#[pyfunction]
pub fn set_num_threads(threads: usize) -> PyResult<()> {
    let Some(threads) = NonZeroUsize::new(threads) else {
        return Err(PyValueError::new_err("the number of threads must be at least 1"));
    };
    let mut state = STATE.lock();
    state.wanted = Some(threads);
    let inherited = state.pool.take_if(|pool| pool.process != process::id());
    std::mem::forget(inherited);
    state.pool = None;
    Ok(())
}

/// The number of threads that evaluate functions of arrays.
#[pyfunction]
pub fn get_num_threads() -> usize {
    count(&STATE.lock())
}
