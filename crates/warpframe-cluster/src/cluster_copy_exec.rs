//! The operator of a `COPY` or `INSERT` into files on a cluster. An executor writes the files, and this process publishes
//! those of the attempt that the query has used.

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use arrow::array::{RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput, Time,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{TryStreamExt, stream};
use warpframe_io::{AttemptFile, Attempts, CopyOutput, CopySink, WriteAttemptExec};

use super::cluster_exec::ClusterExec;

/// Writes the rows of a query on a cluster into files. Its output is one row with the number of rows, `count: UInt64`.
#[derive(Clone)]
pub(super) struct ClusterCopyExec {
    /// The query, and the cluster that runs it.
    query: ClusterExec,
    sink: CopySink,
    /// Whether the executors report metrics of the operators.
    analyzed: bool,
    /// The query as it was run, after the end of an analyzed one.
    executed: Arc<OnceLock<Arc<dyn ExecutionPlan>>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ClusterCopyExec {
    /// Writes the rows of a query, which has one partition.
    pub fn new(query: ClusterExec, sink: CopySink) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Self::schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let (executed, properties) = (Arc::default(), Arc::new(properties));
        let metrics = ExecutionPlanMetricsSet::new();
        Self { query, sink, analyzed: false, executed, properties, metrics }
    }

    /// A copy for `EXPLAIN ANALYZE`, whose child after its execution is the query with the metrics of its operators.
    pub fn analyzed(&self) -> Self {
        Self { analyzed: true, ..Self::new(self.query.clone(), self.sink.clone()) }
    }

    fn schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> =
            LazyLock::new(|| Arc::new(Schema::new(vec![Field::new("count", DataType::UInt64, false)])));
        Arc::clone(&SCHEMA)
    }

    /// Runs the query and publishes its files, which takes `publish_time`. Returns the number of rows.
    async fn copy(&self, context: &Arc<TaskContext>, publish_time: &Time) -> Result<u64> {
        let output = CopyOutput::new(self.sink.config(), &context.runtime_env()).await?;
        let attempts = output.create_attempts().await?;
        let written = self.write(&attempts, context).await;
        let published = match written {
            Ok((files, rows)) => {
                let _timer = publish_time.timer();
                output.publish_attempt(&attempts, &files).await.map(|()| rows)
            }
            Err(error) => Err(error),
        };
        attempts.finish(published).await
    }

    /// Runs the query, whose last operator writes its rows as the files of an attempt.
    async fn write(
        &self,
        attempts: &Attempts,
        context: &Arc<TaskContext>,
    ) -> Result<(Vec<AttemptFile>, u64)> {
        let input = Arc::clone(self.query.plan());
        let write = WriteAttemptExec::new(input, self.sink.clone(), attempts.path_or_url());
        let query = self.query.with_plan(Arc::new(write));
        let query = Arc::new(if self.analyzed { query.analyzed() } else { query });
        let batches: Vec<_> = query.execute(0, Arc::clone(context))?.try_collect().await?;
        if self.analyzed {
            let _ = self.executed.set(query);
        }
        let (mut files, mut rows) = (Vec::new(), 0);
        for (more_files, more_rows) in batches.iter().map(WriteAttemptExec::written) {
            files.extend(more_files);
            rows += more_rows;
        }
        Ok((files, rows))
    }
}

impl fmt::Debug for ClusterCopyExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterCopyExec").field("query", &self.query).field("sink", &self.sink).finish()
    }
}

impl DisplayAs for ClusterCopyExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        if format != DisplayFormatType::TreeRender {
            write!(f, "ClusterCopyExec: sink=")?;
        }
        self.sink.operator().sink().fmt_as(format, f)
    }
}

impl ExecutionPlan for ClusterCopyExec {
    fn name(&self) -> &str {
        "ClusterCopyExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    // The query is not a child before its end, so that optimizer rules of this session do not change it.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.executed.get().into_iter().collect()
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

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let copy = self.clone();
        let metrics = BaselineMetrics::new(&self.metrics, 0);
        let count = async move {
            let rows = copy.copy(&context, metrics.elapsed_compute()).await?;
            let count = RecordBatch::try_new(Self::schema(), vec![Arc::new(UInt64Array::from(vec![rows]))])?;
            Ok(count.record_output(&metrics))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Self::schema(), stream::once(count))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
