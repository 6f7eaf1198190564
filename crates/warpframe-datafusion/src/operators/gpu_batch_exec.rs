//! The operator that makes batches for GPUs and reports the metrics of GPU kernels.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::TryStreamExt;

use super::gpu_batch_stream::GpuBatchStream;
use crate::functions::FusedFunction;
use crate::memory::PoolBudget;
use warpframe_ir::memory::MemoryBudget;
use warpframe_ir::metrics::{Metric, Metrics};

/// The kernels of an operator that use GPUs.
#[derive(Debug, Clone, Default)]
pub struct GpuKernels {
    /// The metrics of every kernel.
    pub metrics: Vec<Arc<Metrics>>,
    /// The fused functions with a kernel, which reserve memory in the pool of the task.
    pub functions: Vec<ScalarUDF>,
}

/// Makes the batches of an operator with kernels on GPUs, and reports the metrics of these kernels.
///
/// Transfers to a GPU and launches of kernels take as long for few rows as for some ten thousand. Operators from which the
/// input streams, such as scans, make large batches in the first place. Small batches, such as those of tables in memory, are
/// put together. The batch size of all other operators of the plan does not change.
#[derive(Debug)]
pub struct GpuBatchExec {
    input: Arc<dyn ExecutionPlan>,
    batches: Option<Batches>,
    kernels: GpuKernels,
    metrics: ExecutionPlanMetricsSet,
}

/// The batches that are made.
#[derive(Debug, Clone, Copy)]
struct Batches {
    rows: usize,
    /// Whether the input streams from a scan, whose batches can be as large. Other inputs, such as sorts, hold rows back, and
    /// their memory depends on the batch size.
    streams: bool,
}

impl GpuBatchExec {
    /// The operator below the one with the kernels. It makes batches of `rows` rows.
    pub fn making_batches(
        input: Arc<dyn ExecutionPlan>,
        rows: usize,
        streams: bool,
        kernels: GpuKernels,
    ) -> Self {
        Self { input, batches: Some(Batches { rows, streams }), kernels, metrics: Default::default() }
    }

    /// The operator above the one with the kernels, whose batches it does not change.
    pub fn reporting(input: Arc<dyn ExecutionPlan>, kernels: GpuKernels) -> Self {
        Self { input, batches: None, kernels, metrics: Default::default() }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let (batches, kernels) = (self.batches, self.kernels.clone());
        Arc::new(Self { input, batches, kernels, metrics: ExecutionPlanMetricsSet::new() })
    }
}

impl DisplayAs for GpuBatchExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        if format != DisplayFormatType::TreeRender {
            f.write_str("GpuBatchExec")?;
        }
        match self.batches {
            Some(Batches { rows, .. }) if format == DisplayFormatType::TreeRender => {
                write!(f, "batch_rows={rows}")
            }
            Some(Batches { rows, .. }) => write!(f, ": batch_rows={rows}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for GpuBatchExec {
    fn name(&self) -> &str {
        "GpuBatchExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_preserve_order(&self, preserve: bool) -> Option<Arc<dyn ExecutionPlan>> {
        Some(self.with_input(self.input.with_preserve_order(preserve)?))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
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
        match children.into_iter().next() {
            Some(child) => Ok(self.with_input(child)),
            None => Ok(self),
        }
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        Ok(inputs.first().map_or_else(|| Arc::new(Statistics::new_unknown(&self.schema())), Arc::clone))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let memory: Arc<dyn MemoryBudget> = Arc::new(PoolBudget(Arc::clone(context.memory_pool())));
        let functions = self.kernels.functions.iter();
        for function in functions.filter_map(|function| function.inner().downcast_ref::<FusedFunction>()) {
            function.set_memory(Arc::clone(&memory));
        }
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let Some(Batches { rows, streams }) = self.batches else {
            let batches = self.input.execute(partition, context)?;
            let batches = batches.map_ok(move |batch| batch.record_output(&baseline));
            return Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)));
        };
        let pool = Arc::clone(context.memory_pool());
        let context = if streams { with_batch_rows(&context, rows) } else { context };
        let input = self.input.execute(partition, context)?;
        let batches = GpuBatchStream::new(input, rows, &pool, partition, baseline).into_stream();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let set = ExecutionPlanMetricsSet::new();
        for metrics in &self.kernels.metrics {
            for (name, metric) in metrics.snapshot().iter() {
                match metric {
                    Metric::Count(count) => {
                        MetricBuilder::new(&set).global_counter(name).add(count as usize);
                    }
                    Metric::Time(time) => {
                        MetricBuilder::new(&set).subset_time(name, 0).add_duration(time);
                    }
                }
            }
        }
        let mut all = self.metrics.clone_inner();
        set.clone_inner().iter().for_each(|metric| all.push(Arc::clone(metric)));
        Some(all)
    }
}

/// A task with another batch size.
fn with_batch_rows(context: &Arc<TaskContext>, rows: usize) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone().with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}
