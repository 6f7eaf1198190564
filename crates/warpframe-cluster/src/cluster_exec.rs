//! The operator that runs a plan on a cluster.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use ballista_core::serde::protobuf::PartitionLocation;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use datafusion::prelude::SessionConfig;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use warpframe_datafusion::operators::timed;

use super::client::ClusterClient;
use super::job::{Job, JobEnd};
use super::remote_metrics::executed_stages;
use super::result_reader::{fetch_partition, read_local_partition};
use super::settings::ClusterProgress;

/// The number of result partitions that are opened concurrently. Their batches keep the order of the partitions.
const PREFETCHED_PARTITIONS: usize = 4;

/// The metric of the time from the submission of a job to its end.
pub const COMPUTE_TIME: &str = "compute_time";

/// The metric of the time in which the results are fetched and consumed.
pub const GATHER_TIME: &str = "gather_time";

/// The metric that counts the partitions that are read from files on this machine.
const LOCAL_PARTITIONS: &str = "local_partitions";

/// The number of times that a query is run if executors are lost with its results.
const MAX_ATTEMPTS: usize = 3;

/// The interval at which the progress of a job is requested.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Runs a plan on a cluster and returns its partitions as one, in their order.
#[derive(Clone)]
pub struct ClusterExec {
    plan: Arc<dyn ExecutionPlan>,
    client: Arc<ClusterClient>,
    progress: Option<ClusterProgress>,
    /// Whether the executors report metrics of the operators.
    analyzed: bool,
    /// The executed operators with their metrics, after the end of an analyzed query.
    executed: Arc<OnceLock<Vec<Arc<dyn ExecutionPlan>>>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ClusterExec {
    /// Runs the plan on the client's cluster.
    pub(super) fn new(
        plan: Arc<dyn ExecutionPlan>,
        client: Arc<ClusterClient>,
        progress: Option<ClusterProgress>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(plan.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        let executed = Arc::default();
        Self { plan, client, progress, analyzed: false, executed, properties: Arc::new(properties), metrics }
    }

    /// The plan that runs on the cluster.
    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }

    /// A copy for `EXPLAIN ANALYZE`, whose children after its execution are the executed operators with their metrics.
    pub(super) fn analyzed(&self) -> Self {
        Self { analyzed: true, ..self.with_plan(Arc::clone(&self.plan)) }
    }

    /// A copy that runs another plan on the same cluster.
    pub fn with_plan(&self, plan: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(plan, Arc::clone(&self.client), self.progress.clone())
    }
}

impl fmt::Debug for ClusterExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterExec").field("client", &self.client).field("plan", &self.plan).finish()
    }
}

impl DisplayAs for ClusterExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => write!(f, "address={}", self.client.address()),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "ClusterExec: {}", self.client.address())
            }
        }
    }
}

impl ExecutionPlan for ClusterExec {
    fn name(&self) -> &str {
        "ClusterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    // The plan is not a child, so that optimizer rules of this session do not change it.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.executed.get().into_iter().flatten().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (plan, client, progress) =
            (Arc::clone(&self.plan), Arc::clone(&self.client), self.progress.clone());
        let computing = MetricBuilder::new(&self.metrics).subset_time(COMPUTE_TIME, partition);
        let gathering = MetricBuilder::new(&self.metrics).subset_time(GATHER_TIME, partition);
        let local = MetricBuilder::new(&self.metrics).counter(LOCAL_PARTITIONS, partition);
        let results = ResultReader { client: Arc::clone(&client), schema: plan.schema(), local };
        let (analyzed, executed) = (self.analyzed, Arc::clone(&self.executed));
        let rows = async move {
            let start = Instant::now();
            let config = context.session_config();
            let (mut job, partitions) = run_with_retries(&plan, &results, progress, config, analyzed).await?;
            computing.add_elapsed(start);
            let start = Instant::now();
            let partitions = timed(Box::pin(partitions), metrics.elapsed_compute().clone());
            let partitions = partitions.map_ok(move |batch| batch.record_output(&metrics));
            // Dropping the job removes its files, so it has to live as long as the stream.
            let end = stream::once(async move {
                gathering.add_elapsed(start);
                if analyzed {
                    let _ = executed.set(executed_stages(job.metrics().await));
                }
                drop(job);
            });
            Ok::<_, DataFusionError>(partitions.chain(end.filter_map(|()| std::future::ready(None))))
        };
        let rows = stream::once(rows).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.plan.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Runs the plan and returns the stream of its result. A job whose results were lost is submitted again.
///
/// An executor that is lost after its last task takes its result partitions with it, and the scheduler does not compute
/// them again. So the first partition of every executor is opened first, and if that fails the plan is run again. An
/// executor that is lost later is an error.
async fn run_with_retries(
    plan: &Arc<dyn ExecutionPlan>,
    results: &ResultReader,
    progress: Option<ClusterProgress>,
    config: &SessionConfig,
    collect_metrics: bool,
) -> Result<(Job, impl Stream<Item = Result<RecordBatch>> + use<>)> {
    let client = &results.client;
    let mut attempt = 1;
    loop {
        let mut job = client.submit(Arc::clone(plan), config, collect_metrics).await?;
        let end = {
            // Dropped with this scope or this future.
            let _poller = progress
                .clone()
                .map(|progress| poll_progress(Arc::clone(client), job.id().to_owned(), progress));
            job.wait().await?
        };
        let locations = match end {
            JobEnd::Done(locations) => locations,
            JobEnd::Lost(lost) if attempt == MAX_ATTEMPTS => return Err(lost),
            JobEnd::Lost(lost) => {
                log::warn!("running the query again: {}", lost.message());
                attempt += 1;
                continue;
            }
        };
        match open_first_partitions(&locations, results).await {
            Ok(opened) => {
                let results = results.clone();
                let rows = stream::iter(locations.into_iter().zip(opened))
                    .map(move |(location, opened)| {
                        let results = results.clone();
                        async move {
                            match opened {
                                Some(rows) => Ok(rows),
                                None => results.read_partition(location).await,
                            }
                        }
                    })
                    .buffered(PREFETCHED_PARTITIONS)
                    .try_flatten();
                return Ok((job, rows));
            }
            Err(lost) if attempt == MAX_ATTEMPTS => return Err(lost),
            Err(lost) => {
                log::warn!("running the query again after the loss of results: {lost}");
                attempt += 1;
            }
        }
    }
}

/// Opens result partitions.
#[derive(Clone)]
struct ResultReader {
    client: Arc<ClusterClient>,
    schema: SchemaRef,
    /// Counts the partitions that are read from files on this machine.
    local: Count,
}

impl ResultReader {
    /// The batches of a partition: from a file on this machine if it is there, else from the executor.
    async fn read_partition(&self, location: PartitionLocation) -> Result<SendableRecordBatchStream> {
        if let Some(folder) = self.client.local_work_dir() {
            let (folder, local) = (folder.to_owned(), location.clone());
            // Blocking: it populates the mapping from disk.
            let rows = SpawnedTask::spawn_blocking(move || read_local_partition(local, &folder)).join().await;
            if let Ok(Some(rows)) = rows {
                self.local.add(1);
                return Ok(rows);
            }
        }
        fetch_partition(location, self.client.security()?, Arc::clone(&self.schema)).await
    }
}

/// Opens the first partition of every executor and reads its first batch. The result has an entry for each location.
///
/// # Errors
/// An executor does not answer or has lost its results.
async fn open_first_partitions(
    locations: &[PartitionLocation],
    results: &ResultReader,
) -> Result<Vec<Option<SendableRecordBatchStream>>> {
    let mut executors = HashSet::new();
    let firsts = locations.iter().map(|location| {
        let id = location.executor_meta.as_ref().map(|executor| executor.id.clone());
        executors.insert(id).then(|| location.clone())
    });
    let opened = firsts.map(|first| async move {
        let Some(location) = first else { return Ok(None) };
        let mut rows = results.read_partition(location).await?;
        let schema = rows.schema();
        let first = rows.next().await.transpose()?;
        let all = stream::iter(first.map(Ok)).chain(rows);
        Ok::<_, DataFusionError>(Some(Box::pin(RecordBatchStreamAdapter::new(schema, all)) as _))
    });
    futures::future::try_join_all(opened).await
}

/// A task that reports the progress of a job until the value is dropped.
struct ProgressPoller {
    task: tokio::task::JoinHandle<()>,
    progress: ClusterProgress,
}

impl Drop for ProgressPoller {
    fn drop(&mut self) {
        self.task.abort();
        (self.progress)(None);
    }
}

/// Calls `progress` with the progress of a job at regular intervals, and with `None` at the end.
fn poll_progress(client: Arc<ClusterClient>, job: String, progress: ClusterProgress) -> ProgressPoller {
    let callback = Arc::clone(&progress);
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(PROGRESS_INTERVAL).await;
            if let Some(now) = client.progress(&job).await {
                callback(Some(now));
            }
        }
    });
    ProgressPoller { task, progress }
}
