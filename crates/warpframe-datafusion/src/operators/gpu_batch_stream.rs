//! Puts small batches together.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::BatchCoalescer;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_plan::metrics::{BaselineMetrics, RecordOutput};
use futures::{Stream, StreamExt, stream};

/// The batches of an input, those with at most half of a number of rows put together.
///
/// The rows that are put together are copied, in memory that is reserved in the pool. If the pool is exhausted, batches stay as
/// they are.
pub(super) struct GpuBatchStream {
    input: SendableRecordBatchStream,
    rows: usize,
    coalescer: BatchCoalescer,
    /// The memory of the rows that are put together.
    reservation: MemoryReservation,
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
        let coalescer = BatchCoalescer::new(input.schema(), rows);
        let reservation = MemoryConsumer::new(format!("GpuBatchExec[{partition}]")).register(pool);
        Self { input, rows, coalescer, reservation, is_finished: false, metrics }
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<RecordBatch>> + Send {
        stream::try_unfold(self, |mut batches| async {
            Ok(batches.next().await?.map(|batch| (batch, batches)))
        })
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.coalescer.next_completed_batch() {
                // The consumer of a batch has its memory.
                let (left, given) = (self.coalescer.get_buffered_rows(), batch.num_rows());
                self.reservation.resize(self.reservation.size() * left / (left + given).max(1));
                return Ok(Some(batch.record_output(&self.metrics)));
            }
            if self.is_finished {
                self.metrics.done();
                return Ok(None);
            }
            match self.input.next().await.transpose()? {
                Some(batch) => self.push(batch)?,
                None => {
                    self.coalescer.finish_buffered_batch()?;
                    self.is_finished = true;
                }
            }
        }
    }

    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let _timer = self.metrics.elapsed_compute().timer();
        let is_small = batch.num_rows() <= self.rows / 2;
        let is_copied = is_small && self.reservation.try_grow(bytes(&batch)?).is_ok();
        if !is_copied {
            self.coalescer.finish_buffered_batch()?;
        }
        // Batches above the limit pass as they are if no rows are buffered.
        self.coalescer.set_biggest_coalesce_batch_size(Some(if is_copied { self.rows } else { 0 }));
        Ok(self.coalescer.push_batch(batch)?)
    }
}

/// The bytes of the rows of a batch, which may be slices of larger arrays.
fn bytes(batch: &RecordBatch) -> Result<usize> {
    let columns = batch.columns().iter();
    Ok(columns.map(|column| column.to_data().get_slice_memory_size()).sum::<Result<usize, _>>()?)
}
