//! The batches of a running query, one after the other.

use std::pin::pin;

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use warpframe::error_text::root_message;

use crate::block_on::{block_on, block_on_for};
use crate::errors::query_error;
use crate::fork_guard::ForkGuard;
use crate::runtime::{SIGNAL_INTERVAL, panic_message};
use crate::table::ArrowTable;

/// The number of batches that are computed before they are asked for.
const BATCHES_AHEAD: usize = 2;

/// A query that runs on the runtime, ahead of its consumer by a few batches. It is cancelled when this is dropped.
pub struct RunningQuery {
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    task: JoinHandle<()>,
    is_over: bool,
    /// Keeps the tables. Their last reference may need the GIL, which the consumer can have while it waits for the task.
    _query: DataFrame,
}

impl RunningQuery {
    /// Starts to pull from a stream of the query on the runtime.
    pub fn start(runtime: &Runtime, query: DataFrame, mut stream: SendableRecordBatchStream) -> Self {
        let schema = stream.schema();
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let task = runtime.spawn(async move {
            while let Some(batch) = stream.next().await {
                let is_last = batch.is_err();
                if sender.send(batch).await.is_err() || is_last {
                    break;
                }
            }
        });
        Self { schema, batches, task, is_over: false, _query: query }
    }

    /// The next batch, or `None` at the end. It can be called again if the future was dropped.
    async fn next(&mut self) -> Option<Result<RecordBatch, DataFusionError>> {
        if self.is_over {
            return None;
        }
        let next = match self.batches.recv().await {
            Some(batch) => Some(batch),
            // The task has ended, perhaps by a panic.
            None => match (&mut self.task).await {
                Ok(()) => None,
                Err(error) => Some(Err(DataFusionError::Execution(panic_message(error)))),
            },
        };
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Drop for RunningQuery {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A running query for consumers that are not Python code. It does not need the GIL.
pub struct QueryReader {
    schema: SchemaRef,
    query: ForkGuard<RunningQuery>,
}

impl QueryReader {
    /// A reader of the query's batches.
    pub fn new(runtime: &'static Runtime, query: RunningQuery) -> Self {
        Self { schema: query.schema.clone(), query: ForkGuard::new(runtime, query) }
    }
}

impl Iterator for QueryReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (query, _) = match self.query.get_mut() {
            Ok(parts) => parts,
            Err(forked) => return Some(Err(ArrowError::ExternalError(forked.message("stream").into()))),
        };
        let next = block_on(pin!(query.next()))?;
        Some(next.map_err(|error| {
            let message = root_message(&error);
            match error.find_root() {
                DataFusionError::ResourcesExhausted(_) => ArrowError::MemoryError(message),
                _ => ArrowError::ExternalError(message.into()),
            }
        }))
    }
}

impl RecordBatchReader for QueryReader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// An iterator over the batches of a running query.
#[pyclass(frozen, module = "warpframe", name = "BatchStream")]
pub struct BatchStream {
    state: Mutex<State>,
    /// The SQL text of the query.
    text: String,
}

enum State {
    Ready(Box<ForkGuard<RunningQuery>>),
    /// A thread waits for the next batch.
    Busy,
    /// The query has ended, failed or been interrupted.
    Over,
}

impl BatchStream {
    /// An iterator over the batches of a query with this SQL text.
    pub fn new(runtime: &'static Runtime, query: RunningQuery, text: String) -> Self {
        Self { state: Mutex::new(State::Ready(Box::new(ForkGuard::new(runtime, query)))), text }
    }

    /// The next batch, and the state after it.
    fn wait_for_next(
        &self,
        py: Python<'_>,
        mut guard: Box<ForkGuard<RunningQuery>>,
    ) -> PyResult<(Option<ArrowTable>, State)> {
        let (query, _) = guard.get_mut().map_err(|forked| forked.exception("iterator"))?;
        loop {
            let next = py.detach(|| block_on_for(pin!(query.next()), SIGNAL_INTERVAL));
            match next {
                Some(None) => return Ok((None, State::Over)),
                Some(Some(Err(error))) => return Err(query_error(&error, &self.text)),
                Some(Some(Ok(batch))) => {
                    let table = ArrowTable::new(query.schema.clone(), vec![batch]);
                    return Ok((Some(table), State::Ready(guard)));
                }
                None => py.check_signals()?,
            }
        }
    }
}

#[pymethods]
impl BatchStream {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    /// The next batch, as a table of one batch. An error and Ctrl-C end the query.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<ArrowTable>> {
        let state = std::mem::replace(&mut *self.state.lock(), State::Busy);
        let (next, state) = match state {
            State::Ready(guard) => match self.wait_for_next(py, guard) {
                Ok((table, state)) => (Ok(table), state),
                Err(exception) => (Err(exception), State::Over),
            },
            State::Busy => {
                return Err(PyRuntimeError::new_err(
                    "another thread waits for the next batch of this iterator",
                ));
            }
            State::Over => (Ok(None), State::Over),
        };
        *self.state.lock() = state;
        next
    }
}
