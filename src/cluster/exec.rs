//! The plan node that runs its plan on a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};

use super::client::{ClusterClient, fetch};
use super::status::JobProgress;

/// How many partitions of a result are fetched at a time; they are given in order.
const FETCHED_AHEAD: usize = 4;

/// The metric of the time from handing in a query to its end on the cluster.
pub(crate) const COMPUTE_TIME: &str = "compute_time";

/// The metric of the time in which the results were fetched, and used.
pub(crate) const GATHER_TIME: &str = "gather_time";

/// How often a job is asked how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Hears how far a query on a cluster has come, and nothing when it has ended.
pub type ClusterProgress = Arc<dyn Fn(Option<JobProgress>) + Send + Sync>;

/// Runs a plan on a cluster and gives its rows, those of its partitions one after the other.
#[derive(Clone)]
pub struct ClusterExec {
    plan: Arc<dyn ExecutionPlan>,
    client: Arc<ClusterClient>,
    progress: Option<ClusterProgress>,
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
        Self { plan, client, progress, properties: Arc::new(properties), metrics }
    }

    /// What runs on the cluster.
    pub fn plan(&self) -> &Arc<dyn ExecutionPlan> {
        &self.plan
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

    // What runs elsewhere is not for the optimizers here.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => internal_err!("ClusterExec has no children"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (plan, client, progress) =
            (Arc::clone(&self.plan), Arc::clone(&self.client), self.progress.clone());
        let computing = MetricBuilder::new(&self.metrics).subset_time(COMPUTE_TIME, partition);
        let gathering = MetricBuilder::new(&self.metrics).subset_time(GATHER_TIME, partition);
        let rows = async move {
            let start = Instant::now();
            let mut job = client.submit(plan, context.session_config()).await?;
            // Ends with the job, or when this stream is dropped.
            let followed = std::sync::Mutex::new(None);
            let locations = job
                .finished(|id| {
                    if let (Some(progress), Ok(mut followed)) = (&progress, followed.lock()) {
                        *followed = Some(follow(Arc::clone(&client), id.to_owned(), Arc::clone(progress)));
                    }
                })
                .await?;
            drop(followed);
            computing.add_elapsed(start);
            let start = Instant::now();
            let partitions = stream::iter(locations).map(fetch).buffered(FETCHED_AHEAD).try_flatten();
            // The job's files are removed when the last row has been taken.
            let partitions = partitions.inspect_ok(move |batch| metrics.record_output(batch.num_rows()));
            let end = stream::once(async move {
                gathering.add_elapsed(start);
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

/// A task that reports a job's progress, and ends with this value.
struct Followed {
    task: tokio::task::JoinHandle<()>,
    progress: ClusterProgress,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
        (self.progress)(None);
    }
}

fn follow(client: Arc<ClusterClient>, job: String, progress: ClusterProgress) -> Followed {
    let heard = Arc::clone(&progress);
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(PROGRESS_INTERVAL).await;
            if let Some(now) = client.progress(&job).await {
                heard(Some(now));
            }
        }
    });
    Followed { task, progress }
}
