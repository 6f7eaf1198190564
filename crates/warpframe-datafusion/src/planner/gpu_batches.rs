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
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
};

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
    metrics: Vec<Arc<Metrics>>,
    batch_rows: usize,
}

impl GpuBatchExec {
    /// The operator with `plan` as its input, or `plan` itself if no function has a GPU kernel.
    fn wrap(plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let (mut device_rows, mut metrics) = (None, Vec::new());
        for_each_fused_function(&plan, |function| {
            let least = function.kernel().and_then(|kernel| kernel.device_batch_rows());
            if let (Some(least), Some(own)) = (least, function.metrics()) {
                device_rows = device_rows.max(Some(least));
                if !metrics.iter().any(|known| Arc::ptr_eq(known, own)) {
                    metrics.push(Arc::clone(own));
                }
            }
            Ok(())
        })?;
        plan.apply(|node| {
            if let Some(pass) = fused_pass(node.as_ref()) {
                let least = pass.rows.kernels().filter_map(|kernel| kernel.device_batch_rows()).max();
                if least.is_some() {
                    device_rows = device_rows.max(least);
                    metrics.push(Arc::clone(&pass.kernel_metrics));
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(match device_rows {
            Some(least) => {
                Arc::new(Self { input: plan, metrics, batch_rows: device_batch_rows(config, least) })
            }
            None => plan,
        })
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, metrics: self.metrics.clone(), batch_rows: self.batch_rows })
    }
}

impl DisplayAs for GpuBatchExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "GpuBatchExec: batch_rows={}", self.batch_rows)
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
        self.input.execute(partition, prepare(&self.input, &context)?)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let set = ExecutionPlanMetricsSet::new();
        for metrics in &self.metrics {
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
        Some(set.clone_inner())
    }
}
