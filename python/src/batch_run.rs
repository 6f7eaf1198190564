//! Batch runs: from Parquet files to Parquet files.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;
use warpframe::batch::BatchRun;
use warpframe::io::Progress;
use warpframe::memory::MemoryLimit;

use crate::errors::batch_error;
use crate::parquet_output::{Written, writer_settings};
use crate::runtime::wait_for_output;
use crate::session::Session;

/// Evaluates expressions over Parquet files into Parquet files, in a session. `progress` is called every 50 ms with the
/// number of rows that were read and that of all rows.
#[pyfunction]
#[pyo3(signature = (session, input, *, select, filter, init, output, overwrite, compression, row_group_rows, progress))]
#[expect(clippy::too_many_arguments, reason = "they are the keywords of a Python function")]
pub fn run_batch(
    py: Python<'_>,
    session: &Bound<'_, Session>,
    input: String,
    select: String,
    filter: Option<String>,
    init: Option<String>,
    output: PathBuf,
    overwrite: bool,
    compression: &str,
    row_group_rows: usize,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<Written> {
    let (session, runtime) = session.get().get()?;
    let run = BatchRun {
        inputs: vec![input],
        input_options: Default::default(),
        init,
        select,
        filter,
        output,
        output_format: None,
        partition_by: Vec::new(),
        overwrite,
        settings: writer_settings(compression, row_group_rows)?,
        // The session has these.
        threads: None,
        memory_limit: MemoryLimit::Default,
        backend: String::new(),
        cluster: None,
    };
    let counter = Arc::new(RowCounter::default());
    let (task, counted) = (run.clone(), Arc::clone(&counter));
    let written = async move { task.run_in(&session, counted).await };
    let written = wait_for_output(py, runtime, written, |_| match &progress {
        Some(progress) if counter.has_started.load(Ordering::Acquire) => {
            let [done, rows] = [&counter.done, &counter.rows].map(|count| count.load(Ordering::Relaxed));
            progress.call1((done, rows)).map(|_| ())
        }
        _ => Ok(()),
    })?;
    let mut written = Written::new(written.map_err(|failed| batch_error(&failed, &run))?);
    written.warnings = std::mem::take(&mut *counter.warnings.lock());
    Ok(written)
}

/// Counts the rows of a run. Its tasks cannot call Python code.
#[derive(Default)]
struct RowCounter {
    has_started: AtomicBool,
    rows: AtomicU64,
    done: AtomicU64,
    warnings: Mutex<Vec<String>>,
}

impl Progress for RowCounter {
    fn start(&self, rows: u64) {
        self.rows.store(rows, Ordering::Relaxed);
        self.has_started.store(true, Ordering::Release);
    }

    fn position(&self, rows: u64) {
        self.done.fetch_max(rows, Ordering::Relaxed);
    }

    fn warn(&self, message: &str) {
        self.warnings.lock().push(message.to_owned());
    }
}
