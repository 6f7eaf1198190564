//! The physical rule and the operator that set the batch size for GPUs and report the metrics of GPU kernels.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
};
use futures::TryStreamExt;

use super::fused_functions::{device_batch_rows, for_each_fused_function, prepare};
use crate::operators::fused_pass;
use warpframe_ir::metrics::{Metric, Metrics};

/// Adds a `GpuBatchExec` as the root of a plan with functions that are evaluated on GPUs:
///
/// ```text
/// ProjectionExec: expr=[log3[cuda NVIDIA H200](x, y, z)]
///
/// GpuBatchExec: batch_rows=1048576
///   ProjectionExec: expr=[log3[cuda NVIDIA H200](x, y, z)]
/// ```
#[derive(Debug, Default)]
pub struct GpuBatches;

impl PhysicalOptimizerRule for GpuBatches {
    fn name(&self) -> &str {
        "gpu_batches"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // `AnalyzeExec` reports the metrics of its input, so the operator goes below it.
        if plan.downcast_ref::<AnalyzeExec>().is_some() {
            let wrap = |child: Arc<dyn ExecutionPlan>| GpuBatchExec::wrap(child, config);
            let children = plan.children().into_iter().cloned().map(wrap).collect::<Result<_>>()?;
            return replace_children_if_necessary(plan, children);
        }
        GpuBatchExec::wrap(plan, config)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Executes its input with the batch size for GPUs, and reports the metrics of the fused functions in it.
#[derive(Debug)]
struct GpuBatchExec {
    input: Arc<dyn ExecutionPlan>,
    /// The metrics of every fused function with a GPU kernel.
    kernel_metrics: Vec<Arc<Metrics>>,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl GpuBatchExec {
    /// The operator with `plan` as its input, or `plan` itself if no function has a GPU kernel.
    fn wrap(plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let (mut device_rows, mut kernel_metrics) = (None, Vec::new());
        for_each_fused_function(&plan, |function| {
            let least = function.kernel().and_then(|kernel| kernel.device_batch_rows());
            if let (Some(least), Some(own)) = (least, function.metrics()) {
                device_rows = device_rows.max(Some(least));
                if !kernel_metrics.iter().any(|known| Arc::ptr_eq(known, own)) {
                    kernel_metrics.push(Arc::clone(own));
                }
            }
            Ok(())
        })?;
        plan.apply(|node| {
            if let Some(pass) = fused_pass(node.as_ref()) {
                let least = pass.rows.kernels().filter_map(|kernel| kernel.device_batch_rows()).max();
                if least.is_some() {
                    device_rows = device_rows.max(least);
                    kernel_metrics.push(Arc::clone(&pass.kernel_metrics));
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(match device_rows {
            Some(least) => Arc::new(Self {
                input: plan,
                kernel_metrics,
                batch_rows: device_batch_rows(config, least),
                metrics: ExecutionPlanMetricsSet::new(),
            }),
            None => plan,
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let metrics = ExecutionPlanMetricsSet::new();
        Arc::new(Self {
            input,
            kernel_metrics: self.kernel_metrics.clone(),
            batch_rows: self.batch_rows,
            metrics,
        })
    }
}

impl DisplayAs for GpuBatchExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        if format != DisplayFormatType::TreeRender {
            write!(f, "GpuBatchExec: ")?;
        }
        write!(f, "batch_rows={}", self.batch_rows)
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

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batches = self.input.execute(partition, prepare(&self.input, &context)?)?;
        let batches = batches.map_ok(move |batch| {
            let _timer = metrics.elapsed_compute().timer();
            batch.record_output(&metrics)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let set = ExecutionPlanMetricsSet::new();
        for metrics in &self.kernel_metrics {
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
