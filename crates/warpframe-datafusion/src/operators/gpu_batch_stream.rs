//! Puts small batches together.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::metrics::{BaselineMetrics, RecordOutput};
use futures::{Stream, StreamExt, stream};

/// The batches of an input, those with at most half of a number of rows put together.
///
/// The rows that are put together are copied once, to memory that is reserved in the pool. If the pool is exhausted, batches stay
/// as they are.
pub(super) struct GpuBatchStream {
    input: SendableRecordBatchStream,
    rows: usize,
    /// Small batches, and the number of their rows.
    small: (Vec<RecordBatch>, usize),
    /// The memory of the rows of small batches, put together.
    reservation: MemoryReservation,
    completed: VecDeque<RecordBatch>,
    is_finished: bool,
    metrics: BaselineMetrics,
}

impl GpuBatchStream {
    pub fn new(
        input: SendableRecordBatchStream,
        rows: usize,
        pool: &Arc<dyn MemoryPool>,
        partition: usize,
        metrics: BaselineMetrics,
    ) -> Self {
        let reservation = MemoryConsumer::new(format!("GpuBatchExec[{partition}]")).register(pool);
        let (small, completed) = (Default::default(), VecDeque::new());
        Self { input, rows, small, reservation, completed, is_finished: false, metrics }
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<RecordBatch>> + Send {
        stream::try_unfold(self, |mut batches| async {
            Ok(batches.next().await?.map(|batch| (batch, batches)))
        })
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.completed.pop_front() {
                return Ok(Some(batch.record_output(&self.metrics)));
            }
            if self.is_finished {
                self.metrics.done();
                return Ok(None);
            }
            match self.input.next().await.transpose()? {
                Some(batch) => self.push(batch)?,
                None => {
                    self.complete_small()?;
                    self.is_finished = true;
                }
            }
        }
    }

    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        if self.small.1 + rows > self.rows {
            self.complete_small()?;
        }
        if rows > self.rows / 2 || self.reservation.try_grow(bytes(&batch)?).is_err() {
            self.complete_small()?;
            self.completed.push_back(batch);
            return Ok(());
        }
        self.small.0.push(batch);
        self.small.1 += rows;
        if self.small.1 == self.rows { self.complete_small() } else { Ok(()) }
    }

    /// Puts the small batches together. The memory of the result is that of its consumer.
    fn complete_small(&mut self) -> Result<()> {
        let metrics = self.metrics.clone();
        let _timer = metrics.elapsed_compute().timer();
        let (small, _) = std::mem::take(&mut self.small);
        if !small.is_empty() {
            self.completed.push_back(concat_batches(&self.input.schema(), &small)?);
        }
        self.reservation.free();
        Ok(())
    }
}

/// The bytes of the rows of a batch, which may be slices of larger arrays.
fn bytes(batch: &RecordBatch) -> Result<usize> {
    let columns = batch.columns().iter();
    Ok(columns.map(|column| column.to_data().get_slice_memory_size()).sum::<Result<usize, _>>()?)
}
