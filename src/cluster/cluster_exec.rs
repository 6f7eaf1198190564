//! The plan node that runs its plan on a cluster.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use ballista_core::serde::protobuf::PartitionLocation;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use datafusion::prelude::SessionConfig;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::client::ClusterClient;
use super::job::Job;
use super::remote_metrics::ExecutedOperator;
use super::result_reader::{fetch_partition, read_local_partition};
use super::settings::ClusterProgress;

/// How many partitions of a result are fetched at a time; they are given in order.
const PREFETCHED_PARTITIONS: usize = 4;

/// The metric of the time from handing in a query to its end on the cluster.
pub(crate) const COMPUTE_TIME: &str = "compute_time";

/// The metric of the time in which the results were fetched, and used.
pub(crate) const GATHER_TIME: &str = "gather_time";

/// The metric of the partitions that were read from files on this machine.
const LOCAL_PARTITIONS: &str = "local_partitions";

/// How often a query is run if executors are lost with its results.
const MAX_ATTEMPTS: usize = 3;

/// How often a job is asked how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Runs a plan on a cluster and gives its rows, those of its partitions one after the other.
#[derive(Clone)]
pub struct ClusterExec {
    plan: Arc<dyn ExecutionPlan>,
    client: Arc<ClusterClient>,
    progress: Option<ClusterProgress>,
    /// Whether the executors report what the plan's operators did.
    analyzed: bool,
    report: Arc<OnceLock<Vec<Arc<dyn ExecutionPlan>>>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ClusterExec {
    /// The plan, to be run on the client's cluster.
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
        let report = Arc::default();
        Self { plan, client, progress, analyzed: false, report, properties: Arc::new(properties), metrics }
    }

    /// What runs on the cluster.
    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
    }

    /// The same, with the operators on the cluster as children once it has run, for `EXPLAIN ANALYZE`.
    pub(super) fn analyzed(&self) -> Self {
        Self { analyzed: true, ..self.with_plan(Arc::clone(&self.plan)) }
    }

    /// The same, with another plan.
    pub(crate) fn with_plan(&self, plan: Arc<dyn ExecutionPlan>) -> Self {
        Self::new(plan, Arc::clone(&self.client), self.progress.clone())
    }
}

impl fmt::Debug for ClusterExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterExec").field("client", &self.client).field("plan", &self.plan).finish()
    }
}

impl DisplayAs for ClusterExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "ClusterExec: {}", self.client.address())
    }
}

impl ExecutionPlan for ClusterExec {
    fn name(&self) -> &str {
        "ClusterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    // What runs elsewhere is not for the optimizers here: only what has run can be seen.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.report.get().into_iter().flatten().collect()
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
        let results = ResultReader { client: Arc::clone(&client), local };
        let (analyzed, report) = (self.analyzed, Arc::clone(&self.report));
        let rows = async move {
            let start = Instant::now();
            let config = context.session_config();
            let (mut job, partitions) = run_with_retries(&plan, &results, progress, config, analyzed).await?;
            computing.add_elapsed(start);
            let start = Instant::now();
            let partitions = partitions.inspect_ok(move |batch| metrics.record_output(batch.num_rows()));
            // The job's files are removed when the last row has been taken.
            let end = stream::once(async move {
                gathering.add_elapsed(start);
                if analyzed {
                    let _ = report.set(ExecutedOperator::from_stages(job.metrics().await));
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

/// Runs the plan and gives the rows of its partitions. An executor that was lost after its tasks were done, and
/// before anyone noticed, takes results with it; then the plan is run again. Later it is an error.
async fn run_with_retries(
    plan: &Arc<dyn ExecutionPlan>,
    results: &ResultReader,
    progress: Option<ClusterProgress>,
    config: &SessionConfig,
    report: bool,
) -> Result<(Job, impl Stream<Item = Result<RecordBatch>> + use<>)> {
    let client = &results.client;
    let mut attempt = 1;
    loop {
        let mut job = client.submit(Arc::clone(plan), config, report).await?;
        let locations = {
            // Ends with the job, or when this is dropped.
            let _poller = progress
                .clone()
                .map(|progress| poll_progress(Arc::clone(client), job.id().to_owned(), progress));
            job.wait().await?
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
                log::warn!("the query is run again: {lost}");
                attempt += 1;
            }
        }
    }
}

/// Where results come from.
#[derive(Clone)]
struct ResultReader {
    client: Arc<ClusterClient>,
    /// How many were read from files on this machine.
    local: Count,
}

impl ResultReader {
    /// The rows of a partition.
    async fn read_partition(&self, location: PartitionLocation) -> Result<SendableRecordBatchStream> {
        if let Some(folder) = self.client.local_work_dir() {
            let (folder, wanted) = (folder.to_owned(), location.clone());
            // Whatever of the file is not in memory is read now.
            let rows =
                SpawnedTask::spawn_blocking(move || read_local_partition(wanted, &folder)).join().await;
            if let Ok(Some(rows)) = rows {
                self.local.add(1);
                return Ok(rows);
            }
        }
        fetch_partition(location, self.client.token()?).await
    }
}

/// The first partition of every executor, with its first rows: whether all of them are there.
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

/// A task that reports a job's progress, and ends with this value.
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
