//! The operator that filters rows and computes expressions of them in one pass.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coalesce::{LimitedBatchCoalescer, PushBatchStatus};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, replace_children_if_necessary,
};
use futures::{StreamExt, stream};

use super::fused_rows::{FusedRows, Selectivity};
use crate::memory_pool::PoolBudget;
use warpframe_ir::backend::KernelContext;
use warpframe_ir::metrics::Metrics;

/// Filters the rows of its input and computes expressions of them, in one pass by a kernel.
///
/// It replaces filters and projections, which it keeps: its schema, ordering, equivalences and statistics are theirs.
#[derive(Debug, Clone)]
pub struct FusedExec {
    replaced: Replaced,
    input: Arc<dyn ExecutionPlan>,
    /// The predicate and the expressions, over the columns of the input.
    predicate: Option<Arc<dyn PhysicalExpr>>,
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    rows: Arc<FusedRows>,
    /// The largest number of rows in the result of a partition.
    fetch: Option<usize>,
    /// The metrics of the kernels.
    kernel_metrics: Arc<Metrics>,
    metrics: ExecutionPlanMetricsSet,
}

/// What a fused operator replaces.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// Filters and projections, with the input of the operator at the bottom.
    pub plan: Arc<dyn ExecutionPlan>,
    /// The number of filters and projections that were part of the query's plan.
    pub operators: usize,
}

impl FusedExec {
    /// The operator that replaces filters and projections over `input`: with this predicate and these expressions over the
    /// input's columns, compiled to `rows`, and at most `fetch` rows in each partition.
    pub fn new(
        replaced: Replaced,
        input: Arc<dyn ExecutionPlan>,
        predicate: Option<Arc<dyn PhysicalExpr>>,
        expressions: Vec<Arc<dyn PhysicalExpr>>,
        rows: FusedRows,
        fetch: Option<usize>,
    ) -> Self {
        Self {
            replaced,
            input,
            predicate,
            expressions,
            rows: Arc::new(rows),
            fetch,
            kernel_metrics: Arc::default(),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = replace_input(&self.replaced.plan, &self.input, &input)?;
        let replaced = Replaced { plan, operators: self.replaced.operators };
        Ok(Arc::new(Self { replaced, input, metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }))
    }

    /// What the operator replaces.
    pub fn replaced(&self) -> &Replaced {
        &self.replaced
    }

    /// The compiled filter and expressions.
    pub fn rows(&self) -> &FusedRows {
        &self.rows
    }

    /// The metrics of the kernels.
    pub fn kernel_metrics(&self) -> &Arc<Metrics> {
        &self.kernel_metrics
    }
}

/// A plan in which `old` is replaced by `new`, among nodes with one child.
fn replace_input(
    plan: &Arc<dyn ExecutionPlan>,
    old: &Arc<dyn ExecutionPlan>,
    new: &Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    if Arc::ptr_eq(plan, old) {
        return Ok(Arc::clone(new));
    }
    match plan.children()[..] {
        [child] => replace_children_if_necessary(Arc::clone(plan), vec![replace_input(child, old, new)?]),
        _ => internal_err!("a fused operator has one input"),
    }
}

impl DisplayAs for FusedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let backend = self.rows.description();
        // The functions in the expressions are bound to the same backend.
        let without_backend = |text: &str| text.replace(&format!("[{backend}]"), "");
        let text = |expr: &Arc<dyn PhysicalExpr>| without_backend(&expr.to_string());
        write!(f, "FusedExec: backend={backend}")?;
        if let Some(predicate) = &self.predicate {
            write!(f, ", predicate={}", text(predicate))?;
        }
        let fields = self.rows.schema().fields();
        let expressions = self.expressions.iter().zip(fields).map(|(expression, field)| {
            let text = text(expression);
            let name = without_backend(field.name());
            if text == name { text } else { format!("{text} as {name}") }
        });
        write!(f, ", expr=[{}]", expressions.collect::<Vec<_>>().join(", "))?;
        match self.fetch {
            Some(fetch) => write!(f, ", fetch={fetch}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for FusedExec {
    fn name(&self) -> &str {
        "FusedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.replaced.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_preserve_order(&self, preserve: bool) -> Option<Arc<dyn ExecutionPlan>> {
        self.with_input(self.input.with_preserve_order(preserve)?).ok()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![true]
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        match self.rows.has_filter() {
            true => CardinalityEffect::LowerEqual,
            false => CardinalityEffect::Equal,
        }
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        datafusion::physical_plan::apply_expression_roots(self.predicate.iter().chain(&self.expressions), f)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children)
            .or_else(|children| internal_err!("FusedExec has one child, not {}", children.len()))?;
        self.with_input(input)
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        StatisticsContext::new().compute(self.replaced.plan.as_ref(), args)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batch_size = context.session_config().batch_size();
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let memory = Arc::new(PoolBudget(Arc::clone(context.memory_pool())));
        let schema = self.schema();
        let batches = Batches {
            input: self.input.execute(partition, context)?,
            rows: Arc::clone(&self.rows),
            kernel: KernelContext { metrics: Arc::clone(&self.kernel_metrics), memory },
            rest: None,
            results: LimitedBatchCoalescer::new(Arc::clone(&schema), batch_size, self.fetch),
            batch_size,
            selectivity: Selectivity::default(),
            is_finished: false,
            input_rows: MetricBuilder::new(&self.metrics).counter("input_rows", partition),
            baseline,
        };
        let batches = stream::try_unfold(batches, |mut batches| async {
            Ok(batches.next().await?.map(|batch| (batch, batches)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The execution of a partition.
struct Batches {
    input: SendableRecordBatchStream,
    rows: Arc<FusedRows>,
    kernel: KernelContext,
    /// The rows of a batch of the input that are not evaluated yet.
    rest: Option<RecordBatch>,
    results: LimitedBatchCoalescer,
    batch_size: usize,
    selectivity: Selectivity,
    is_finished: bool,
    input_rows: Count,
    baseline: BaselineMetrics,
}

impl Batches {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.results.next_completed_batch() {
                return Ok(Some(batch.record_output(&self.baseline)));
            }
            if self.is_finished {
                self.baseline.done();
                return Ok(None);
            }
            let status = match self.next_input().await? {
                Some(batch) => {
                    self.input_rows.add(batch.num_rows());
                    let _timer = self.baseline.elapsed_compute().timer();
                    let result = self.rows.evaluate(&batch, &mut self.selectivity, &self.kernel)?;
                    if !self.rows.has_filter() {
                        return Ok(Some(result.record_output(&self.baseline)));
                    }
                    self.results.push_batch(result)?
                }
                None => PushBatchStatus::LimitReached,
            };
            if status == PushBatchStatus::LimitReached {
                self.results.finish()?;
                self.is_finished = true;
                // Operators below stop when the stream is dropped.
                self.input =
                    Box::pin(datafusion::physical_plan::EmptyRecordBatchStream::new(self.input.schema()));
            }
        }
    }

    /// The next rows of the input, at most as many as a batch has: results then stay in the cache until they are read.
    async fn next_input(&mut self) -> Result<Option<RecordBatch>> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.input.next().await.transpose()? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        let rows = batch.num_rows();
        if rows < 2 * self.batch_size {
            return Ok(Some(batch));
        }
        self.rest = Some(batch.slice(self.batch_size, rows - self.batch_size));
        Ok(Some(batch.slice(0, self.batch_size)))
    }
}
