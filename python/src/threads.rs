//! The threads that evaluate functions of arrays: the calling one, which begins at once, and those of a pool, which must be woken
//! first.

use std::num::NonZeroUsize;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use warpframe::cpu::affinity::{WakeCpus, current_thread};

use crate::errors::WarpframeError;

/// The threads besides the calling one.
pub struct Threads {
    pool: ThreadPool,
    /// The number of each in the operating system.
    numbers: Arc<[AtomicI32]>,
    /// The CPUs on which they wake, if that must be said.
    cpus: Option<WakeCpus>,
}

impl Threads {
    fn start(count: usize) -> Result<Self, ThreadPoolBuildError> {
        let numbers: Arc<[_]> = (0..count).map(|_| AtomicI32::new(0)).collect();
        let started = Arc::clone(&numbers);
        let pool = ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|position| format!("warpframe-{position}"))
            .start_handler(move |position| started[position].store(current_thread(), Ordering::Relaxed))
            .build()?;
        Ok(Self { pool, numbers, cpus: WakeCpus::new(count) })
    }

    /// Lets each thread wake on another CPU than that of the calling thread, which works too.
    fn wait_beside_caller(&self) {
        let Some(cpus) = &self.cpus else { return };
        for (position, number) in self.numbers.iter().enumerate() {
            match number.load(Ordering::Relaxed) {
                // It has not been started yet.
                0 => {}
                number => WakeCpus::wait_on(cpus.beside_caller(position), number),
            }
        }
    }
}

/// The threads, and the process that has started them: they do not exist in the children of a fork.
struct Pool {
    process: u32,
    threads: Arc<Threads>,
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

/// The threads besides the calling one, which are started by the first call; `None` if that is the only one.
///
/// # Errors
/// The operating system refuses a thread.
pub fn others(_py: Python<'_>) -> PyResult<Option<Arc<Threads>>> {
    let mut state = STATE.lock();
    let others = count(&state) - 1;
    if others == 0 {
        return Ok(None);
    }
    match state.pool.take() {
        Some(pool) if pool.process == process::id() => {
            let threads = Arc::clone(&pool.threads);
            state.pool = Some(pool);
            return Ok(Some(threads));
        }
        // The pool of the parent process would wait for its threads.
        inherited => std::mem::forget(inherited),
    }
    let threads = Threads::start(others).map_err(|error| WarpframeError::new_err(error.to_string()))?;
    let threads = Arc::new(threads);
    state.pool = Some(Pool { process: process::id(), threads: Arc::clone(&threads) });
    Ok(Some(threads))
}

/// Calls a function with each item, on this thread and on others. Each thread takes one item after the other. Returns the
/// results in the order of the items.
///
/// # Errors
/// That of the first item that fails. No items are taken after a failure.
pub fn map<I: Send, T: Send, E: Send>(
    others: Option<&Threads>,
    items: impl ExactSizeIterator<Item = I> + Send,
    function: impl Fn(I) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let others = others.filter(|_| items.len() > 1);
    let Some(others) = others else { return items.map(function).collect() };
    let helpers = others.numbers.len().min(items.len() - 1);
    let items = Mutex::new(Some(items.enumerate()));
    let results = Mutex::new(Vec::new());
    let take_all = || {
        let mut own = Vec::new();
        loop {
            let item = items.lock().as_mut().and_then(Iterator::next);
            let Some((position, item)) = item else { break };
            let result = function(item);
            if result.is_err() {
                *items.lock() = None;
            }
            own.push((position, result));
        }
        results.lock().extend(own);
    };
    others.wait_beside_caller();
    others.pool.in_place_scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|_| {
                if let Some(cpus) = &others.cpus {
                    cpus.run_anywhere();
                }
                take_all();
            });
        }
        take_all();
    });
    let mut results = results.into_inner();
    results.sort_unstable_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
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
