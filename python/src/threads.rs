//! The threads that evaluate functions of arrays: the calling one, which begins at once, and those of a pool, which must be woken
//! first.

use std::num::NonZeroUsize;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use warpframe::cpu::affinity::{WakeCpus, current_thread};

use crate::columns::CHUNK_ROWS;
use crate::errors::WarpframeError;

/// Fewer rows are evaluated on the calling thread: to wake another one takes longer than the function.
const LEAST_PARALLEL_ROWS: usize = 2 * CHUNK_ROWS;

/// The threads besides the calling one.
pub struct Threads {
    pool: ThreadPool,
    threads: Arc<[Helper]>,
    /// The CPUs on which they wake, if that must be said.
    cpus: Option<WakeCpus>,
}

/// A thread of the pool.
#[derive(Default)]
struct Helper {
    /// Its number in the operating system; 0 before it has been started.
    number: AtomicI32,
    /// Whether it computes something.
    works: AtomicBool,
}

impl Threads {
    fn start(count: usize) -> Result<Self, ThreadPoolBuildError> {
        let threads: Arc<[Helper]> = (0..count).map(|_| Helper::default()).collect();
        let started = Arc::clone(&threads);
        let pool = ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|position| format!("warpframe-{position}"))
            .start_handler(move |position| {
                started[position].number.store(current_thread(), Ordering::Relaxed);
            })
            .build()?;
        Ok(Self { pool, threads, cpus: WakeCpus::new() })
    }

    /// Binds threads that are idle, at most `count`, to other CPUs than that of the calling thread, which computes too. Returns how
    /// many are idle, whether they need be bound or not.
    fn bind_idle(&self, count: usize) -> usize {
        let idle = self.threads.iter().filter(|helper| !helper.works.load(Ordering::Relaxed));
        let idle: Vec<_> = idle.take(count).collect();
        if let Some(cpus) = &self.cpus {
            for (helper, cpu) in idle.iter().zip(cpus.beside_caller(idle.len())) {
                match helper.number.load(Ordering::Relaxed) {
                    0 => {}
                    number => WakeCpus::bind(number, cpu),
                }
            }
        }
        idle.len()
    }

    /// Lets a thread of the pool, the calling one, compute something, on any CPU.
    fn work(&self, compute: impl FnOnce()) {
        let Some(position) = self.pool.current_thread_index() else { return compute() };
        let works = &self.threads[position].works;
        works.store(true, Ordering::Relaxed);
        if let Some(cpus) = &self.cpus {
            cpus.unbind();
        }
        compute();
        works.store(false, Ordering::Relaxed);
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

/// The threads besides the calling one, which are started by the first call; `None` if that is the only one, or for few rows.
///
/// # Errors
/// The operating system refuses a thread.
pub fn others(_py: Python<'_>, rows: usize) -> PyResult<Option<Arc<Threads>>> {
    if rows < LEAST_PARALLEL_ROWS {
        return Ok(None);
    }
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
    let helpers = others.map(|others| (others, others.bind_idle(items.len().saturating_sub(1))));
    // Threads that compute something else would only be waited for.
    let Some((others, helpers)) = helpers.filter(|(_, helpers)| *helpers > 0) else {
        return items.map(function).collect();
    };
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
    others.pool.in_place_scope(|scope| {
        (0..helpers).for_each(|_| scope.spawn(|_| others.work(take_all)));
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
