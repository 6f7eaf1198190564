//! The reader of shuffle data on executors. It takes the place of Ballista's readers in the plan of a stage, verifies the
//! checksum of every block, and validates the Arrow buffers.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use ballista_core::error::BallistaError;
use ballista_core::execution_plans::{RangeShuffleReaderExec, ShuffleReaderExec};
use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::scheduler::PartitionLocation;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr};
use datafusion::physical_plan::coalesce::LimitedBatchCoalescer;
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput, Time,
};
use datafusion::physical_plan::sorts::streaming_merge::StreamingMergeBuilder;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, apply_expression_roots,
};
use datafusion::prelude::SessionConfig;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use warpframe_datafusion::operators::timed;

use super::batch_decoder::decode_blocks;
use super::executor_connections::ExecutorConnections;
use super::executor_id::ExecutorId;
use super::remote_blocks::{RemoteBlocks, Retries};
use super::shuffle_file::{LocalBlocks, ShufflePartition};
use super::task_errors::encode_lost_data;

/// Where an executor finds the files of tasks.
#[derive(Debug, Clone)]
pub(super) struct ShuffleSource {
    pub work_dir: PathBuf,
    pub connections: Arc<ExecutorConnections>,
}

/// Replaces Ballista's readers of shuffle data in the plan of a stage.
///
/// # Errors
/// As for `ExecutionPlan::with_new_children` of the operators above them.
pub(super) fn replace_shuffle_readers(
    plan: Arc<dyn ExecutionPlan>,
    source: &ShuffleSource,
) -> Result<Arc<dyn ExecutionPlan>> {
    let replaced = plan.transform(|node| {
        let reader = if let Some(reader) = node.downcast_ref::<ShuffleReaderExec>() {
            let partitions = reader.partition.clone();
            Inputs { partitions, is_broadcast: reader.broadcast, ordering: None, fetch: None }
        } else if let Some(reader) = node.downcast_ref::<RangeShuffleReaderExec>() {
            // Its bounds only save reading: the operator above removes other rows.
            let (partitions, fetch) = (reader.partition.clone(), reader.fetch());
            let ordering = Some(reader.merge_ordering().clone());
            Inputs { partitions, is_broadcast: false, ordering, fetch }
        } else {
            return Ok(Transformed::no(node));
        };
        let properties = Arc::clone(node.properties());
        Ok(Transformed::yes(Arc::new(CheckedShuffleReaderExec::new(reader, source.clone(), properties)) as _))
    });
    replaced.data()
}

/// What a reader reads.
#[derive(Debug, Clone)]
struct Inputs {
    /// The outputs of tasks that make up each partition.
    partitions: Vec<Vec<PartitionLocation>>,
    /// Whether there is one entry in `partitions`, which is every partition.
    is_broadcast: bool,
    /// The order of the rows in each output of a task, which the reader keeps by merging them.
    ordering: Option<LexOrdering>,
    /// The maximum number of rows of each merged partition.
    fetch: Option<usize>,
}

/// Reads partitions that tasks of another stage have written, from this and other executors.
#[derive(Debug)]
pub(super) struct CheckedShuffleReaderExec {
    inputs: Inputs,
    source: ShuffleSource,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl CheckedShuffleReaderExec {
    fn new(inputs: Inputs, source: ShuffleSource, properties: Arc<PlanProperties>) -> Self {
        Self { inputs, source, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for CheckedShuffleReaderExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        if format == DisplayFormatType::TreeRender {
            return write!(f, "partitions={}", self.inputs.partitions.len());
        }
        write!(f, "CheckedShuffleReaderExec: partitions={}", self.inputs.partitions.len())?;
        match &self.inputs.ordering {
            Some(ordering) => write!(f, ", ordering=[{ordering}]"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for CheckedShuffleReaderExec {
    fn name(&self) -> &str {
        "CheckedShuffleReaderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let keys = self.inputs.ordering.iter().flatten().map(|key| &key.expr);
        apply_expression_roots(keys, apply)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => internal_err!("{} has no children", self.name()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = if self.inputs.is_broadcast { 0 } else { partition };
        let Some(locations) = self.inputs.partitions.get(input) else {
            return internal_err!("{} has no partition {partition}", self.name());
        };
        let mut locations = locations.clone();
        if !locations.is_empty() {
            // The tasks of a stage do not all ask the same executor first.
            let first = partition % locations.len();
            locations.rotate_left(first);
        }
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let reader = PartitionReader {
            source: self.source.clone(),
            limits: Limits::of(context.session_config()),
            metrics: ReaderMetrics::new(&self.metrics, partition, baseline.elapsed_compute().clone()),
        };
        let (schema, batch_size) = (self.schema(), context.session_config().batch_size());
        let Some(ordering) = &self.inputs.ordering else {
            let coalescer = LimitedBatchCoalescer::new(self.schema(), batch_size, None);
            let rows = coalesce(reader.read_all(locations)?, coalescer, baseline);
            // Files are always ready, so the stream has to yield to the tokio runtime explicitly.
            return Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(schema, rows))));
        };
        let streams = locations.into_iter().map(|location| {
            let rows = reader.read_one(location)?;
            Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)) as SendableRecordBatchStream)
        });
        let reservation = MemoryConsumer::new(format!("{}[{partition}]", self.name()));
        StreamingMergeBuilder::new()
            .with_streams(streams.collect::<Result<_>>()?)
            .with_schema(schema)
            .with_expressions(ordering)
            .with_metrics(baseline)
            .with_batch_size(batch_size)
            .with_fetch(self.inputs.fetch)
            .with_reservation(reservation.register(context.memory_pool()))
            .build()
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The limits of transfers, from Ballista's options.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Whether partitions on this executor are transferred too.
    all_remote: bool,
    /// The number of concurrent transfers.
    transfers: usize,
    /// The bytes of transferred partitions that are not consumed yet. A larger partition is transferred alone.
    bytes: u32,
    /// The assumed size of a partition whose size is not known, in bytes.
    default_bytes: u64,
    retries: Retries,
}

impl Limits {
    fn of(config: &SessionConfig) -> Self {
        let ballista = config.ballista_config();
        let bytes = ballista.shuffle_reader_max_bytes_in_flight();
        Self {
            all_remote: config.ballista_shuffle_reader_force_remote_read(),
            transfers: config.ballista_shuffle_reader_maximum_concurrent_requests().max(1),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX).max(1),
            default_bytes: ballista.shuffle_reader_default_block_size_bytes(),
            retries: Retries {
                times: ballista.io_retries_times(),
                wait: Duration::from_millis(ballista.io_retry_wait_time_ms() as u64),
            },
        }
    }

    /// The part of `bytes` that the transfer of a partition takes.
    fn share(&self, location: &PartitionLocation) -> u32 {
        let bytes = location.partition_stats.num_bytes().unwrap_or(self.default_bytes);
        u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.bytes)
    }
}

#[derive(Debug, Clone)]
struct ReaderMetrics {
    /// The time of all transfers together.
    fetch_time: Time,
    fetched_bytes: Count,
    local_partitions: Count,
    remote_partitions: Count,
    /// The time in which blocks are verified and decoded, and those of local files read.
    decode_time: Time,
}

impl ReaderMetrics {
    fn new(metrics: &ExecutionPlanMetricsSet, partition: usize, decode_time: Time) -> Self {
        let count = |name| MetricBuilder::new(metrics).counter(name, partition);
        Self {
            fetch_time: MetricBuilder::new(metrics).subset_time("fetch_time", partition),
            fetched_bytes: count("fetched_bytes"),
            local_partitions: count("local_partitions"),
            remote_partitions: count("remote_partitions"),
            decode_time,
        }
    }
}

/// The blocks of a partition in memory, as part of what [`Limits::bytes`] limits.
struct Fetched {
    location: PartitionLocation,
    blocks: Result<Vec<Buffer>>,
    _share: OwnedSemaphorePermit,
}

#[derive(Clone)]
struct PartitionReader {
    source: ShuffleSource,
    limits: Limits,
    metrics: ReaderMetrics,
}

type Batches = BoxStream<'static, Result<RecordBatch>>;

impl PartitionReader {
    /// The batches at all locations, in any order.
    fn read_all(self, locations: Vec<PartitionLocation>) -> Result<Batches> {
        let (local, remote): (Vec<_>, Vec<_>) =
            locations.into_iter().partition(|location| self.is_local(location));
        self.metrics.local_partitions.add(local.len());
        self.metrics.remote_partitions.add(remote.len());
        let reader = self.clone();
        let local = stream::iter(local).map(move |location| reader.read_local(location)).flatten();
        if remote.is_empty() {
            return Ok(local.boxed());
        }
        let (source, decode_time) = (self.source.clone(), self.metrics.decode_time.clone());
        let remote = self.fetch_all(remote).map(move |fetched| {
            let Fetched { location, blocks, _share } = fetched;
            let source = source.clone();
            let batches = match blocks {
                Ok(blocks) => {
                    source.decode(stream::iter(blocks.into_iter().map(Ok)), &location, &decode_time)
                }
                Err(error) => stream::iter([Err(source.lost(&location, &error))]).boxed(),
            };
            // The share is given back at the end of the batches.
            batches.inspect(move |_| {
                let _ = &_share;
            })
        });
        Ok(stream::select(local, remote.flatten()).boxed())
    }

    /// The batches at one location. A transfer begins at the first poll.
    fn read_one(&self, location: PartitionLocation) -> Result<Batches> {
        if self.is_local(&location) {
            self.metrics.local_partitions.add(1);
            return Ok(self.read_local(location));
        }
        self.metrics.remote_partitions.add(1);
        let reader = self.clone();
        let batches = async move {
            let (source, wanted) = (reader.source.clone(), location.clone());
            let decode_time = reader.metrics.decode_time.clone();
            let blocks = SpawnedTask::spawn(async move { reader.fetch(&wanted).await }).join().await;
            let blocks = blocks.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
            let blocks = blocks.map_err(|error| source.lost(&location, &error))?;
            let blocks = stream::iter(blocks.into_iter().map(Ok));
            Ok::<_, DataFusionError>(source.decode(blocks, &location, &decode_time))
        };
        Ok(stream::once(batches).try_flatten().boxed())
    }

    /// Whether this executor has the file of a partition.
    fn is_local(&self, location: &PartitionLocation) -> bool {
        let file = ShufflePartition::from(location).file_name();
        !self.limits.all_remote && file.is_ok_and(|file| self.source.work_dir.join(file).exists())
    }

    fn read_local(&self, location: PartitionLocation) -> Batches {
        match LocalBlocks::open(&self.source.work_dir, &ShufflePartition::from(&location)) {
            Ok(blocks) => self.source.decode(stream::iter(blocks), &location, &self.metrics.decode_time),
            Err(error) => stream::iter([Err(self.source.lost(&location, &error))]).boxed(),
        }
    }

    /// Fetches partitions concurrently, in a task of its own and each as a whole: transfers to all tasks of an executor
    /// share connections, so one that is not read would block others on which its consumer waits.
    fn fetch_all(self, locations: Vec<PartitionLocation>) -> impl Stream<Item = Fetched> {
        let (sender, receiver) = mpsc::channel(self.limits.transfers);
        let transfers = self.limits.transfers;
        let free = Arc::new(Semaphore::new(self.limits.bytes as usize));
        let task =
            SpawnedTask::spawn(stream::iter(locations).for_each_concurrent(transfers, move |location| {
                let (reader, free, sender) = (self.clone(), Arc::clone(&free), sender.clone());
                async move {
                    // The semaphore is never closed.
                    let Ok(_share) = free.acquire_many_owned(reader.limits.share(&location)).await else {
                        return;
                    };
                    let blocks = reader.fetch(&location).await;
                    // Fails if the rows are not wanted any more.
                    let _ = sender.send(Fetched { location, blocks, _share }).await;
                }
            }));
        // Dropping the stream ends the task.
        stream::unfold((receiver, task), |(mut receiver, task)| async move {
            let fetched = receiver.recv().await?;
            Some((fetched, (receiver, task)))
        })
    }

    /// Fetches the blocks of a partition.
    async fn fetch(&self, location: &PartitionLocation) -> Result<Vec<Buffer>> {
        let _timer = self.metrics.fetch_time.timer();
        let (executor, partition) = (&location.executor_meta, ShufflePartition::from(location));
        let connections = Arc::clone(&self.source.connections);
        let retries = self.limits.retries;
        let mut remote = RemoteBlocks::new(connections, &executor.host, executor.port, partition, retries)?;
        let mut blocks = Vec::new();
        while let Some(block) = remote.next().await? {
            self.metrics.fetched_bytes.add(block.len());
            blocks.push(block);
        }
        Ok(blocks)
    }
}

impl ShuffleSource {
    /// The batches in blocks from a location.
    fn decode(
        &self,
        blocks: impl Stream<Item = Result<Buffer>> + Send + Unpin + 'static,
        location: &PartitionLocation,
        decode_time: &Time,
    ) -> Batches {
        let file = ShufflePartition::from(location).file_name().unwrap_or_default();
        let (source, location) = (self.clone(), location.clone());
        let batches = timed(Box::pin(decode_blocks(blocks, file)), decode_time.clone());
        batches.map_err(move |error| source.lost(&location, &error)).boxed()
    }

    /// The error that makes the scheduler compute the output of a task again.
    fn lost(&self, location: &PartitionLocation, error: &DataFusionError) -> DataFusionError {
        let id: Option<ExecutorId> = location.executor_meta.id.parse().ok();
        let executor = id.map_or_else(|| location.executor_meta.host.clone(), |id| id.name);
        log::warn!("shuffle data of executor {executor} is lost: {error}");
        let lost = BallistaError::FetchFailed(
            location.executor_meta.id.clone(),
            location.partition_id.stage_id,
            location.partition_id.partition_id,
            encode_lost_data(executor, error),
        );
        lost.into_datafusion()
    }
}

/// The rows in batches of the coalescer's size.
fn coalesce(
    input: Batches,
    coalescer: LimitedBatchCoalescer,
    metrics: BaselineMetrics,
) -> impl Stream<Item = Result<RecordBatch>> {
    let state = (Some(input), coalescer, metrics);
    stream::try_unfold(state, |(mut input, mut coalescer, metrics)| async move {
        loop {
            if let Some(batch) = coalescer.next_completed_batch() {
                return Ok(Some((batch.record_output(&metrics), (input, coalescer, metrics))));
            }
            let Some(rows) = &mut input else { return Ok(None) };
            match rows.next().await.transpose()? {
                Some(batch) => {
                    let _timer = metrics.elapsed_compute().timer();
                    coalescer.push_batch(batch)?;
                }
                None => {
                    coalescer.finish()?;
                    input = None;
                }
            }
        }
    })
}
