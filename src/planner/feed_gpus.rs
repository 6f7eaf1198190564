//! The physical rule that gives GPUs batches of a size that suits them, and the node that shows what they did.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
};
use datafusion::prelude::SessionConfig;

use crate::backend::Backend;
use crate::backend::cuda::{Counters, Counts};
use crate::functions::{Fused, Log3};

/// Puts a `FeedGpusExec` over a plan in which GPUs evaluate functions:
///
/// ```text
/// ProjectionExec: expr=[log3[cuda NVIDIA H200](x, y, z)]
///
/// FeedGpusExec: batch_rows=1048576
///   ProjectionExec: expr=[log3[cuda NVIDIA H200](x, y, z)]
/// ```
#[derive(Debug, Default)]
pub struct FeedGpus;

impl PhysicalOptimizerRule for FeedGpus {
    fn name(&self) -> &str {
        "feed_gpus"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // What is analyzed is the plan below, and the node is a part of that.
        if plan.downcast_ref::<AnalyzeExec>().is_some() {
            let feed = |child: Arc<dyn ExecutionPlan>| FeedGpusExec::over(child);
            let children = plan.children().into_iter().cloned().map(feed).collect::<Result<_>>()?;
            return replace_children_if_necessary(plan, children);
        }
        FeedGpusExec::over(plan)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Has the plan below it run with batches of a size that suits GPUs, and reports what these have done.
#[derive(Debug)]
struct FeedGpusExec {
    input: Arc<dyn ExecutionPlan>,
    /// Of every function's backend.
    counters: Vec<Arc<Counters>>,
    /// What they showed when the plan was made.
    before: Vec<Counts>,
    batch_rows: usize,
}

impl FeedGpusExec {
    /// The node over a plan, or the plan where no GPU has a part in it.
    fn over(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let mut counters: Vec<Arc<Counters>> = Vec::new();
        let mut batch_rows = 0;
        plan.apply(|node| {
            node.apply_expressions(&mut |expression| {
                expression.apply(|part| {
                    if let Some(backend) = backend(part)
                        && let (Some(more), Some(rows)) = (backend.counters(), backend.batch_rows())
                    {
                        if !counters.iter().any(|known| Arc::ptr_eq(known, more)) {
                            counters.push(Arc::clone(more));
                        }
                        batch_rows = batch_rows.max(rows);
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        if counters.is_empty() {
            return Ok(plan);
        }
        let before = counters.iter().map(|counters| counters.counts()).collect();
        Ok(Arc::new(Self { input: plan, counters, before, batch_rows }))
    }
}

/// The backend that a function of ours was bound to.
fn backend(expression: &Arc<dyn PhysicalExpr>) -> Option<&Arc<dyn Backend>> {
    let function = expression.downcast_ref::<ScalarFunctionExpr>()?.fun().inner();
    match function.downcast_ref::<Log3>() {
        Some(function) => function.backend(),
        None => function.downcast_ref::<Fused>()?.backend(),
    }
}

/// The context with batches of so many rows, unless the session has asked for a number of its own.
pub fn with_batch_rows(context: &Arc<TaskContext>, rows: usize) -> Arc<TaskContext> {
    let config = context.session_config();
    if config.batch_size() != SessionConfig::default().batch_size() {
        return Arc::clone(context);
    }
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        config.clone().with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}

impl DisplayAs for FeedGpusExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "FeedGpusExec: batch_rows={}", self.batch_rows)
    }
}

impl ExecutionPlan for FeedGpusExec {
    fn name(&self) -> &str {
        "FeedGpusExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_preserve_order(&self, preserve: bool) -> Option<Arc<dyn ExecutionPlan>> {
        Self::over(self.input.with_preserve_order(preserve)?).ok()
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
            Some(child) => Self::over(child),
            None => Ok(self),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, with_batch_rows(&context, self.batch_rows))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let counters = self.counters.iter().zip(&self.before);
        let counts = counters.map(|(counters, before)| counters.counts().since(*before));
        let metrics = ExecutionPlanMetricsSet::new();
        for counts in counts {
            for (name, number) in counts.numbers() {
                MetricBuilder::new(&metrics).global_counter(name).add(number as usize);
            }
            for (name, time) in counts.times() {
                MetricBuilder::new(&metrics).subset_time(name, 0).add_duration(time);
            }
        }
        Some(metrics.clone_inner())
    }
}
