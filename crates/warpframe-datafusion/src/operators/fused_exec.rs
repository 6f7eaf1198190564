//! The operator that filters rows and computes expressions of them in one pass.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::fmt_sql;
use datafusion::physical_plan::coalesce::{LimitedBatchCoalescer, PushBatchStatus};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};

use super::fused_pass::FusedPass;
use super::fused_rows::{FusedRows, Selectivity};
use crate::device_wait::on_blocking_thread;
use warpframe_ir::backend::KernelContext;

/// Filters the rows of its input and computes expressions of them, in one pass by a kernel.
///
/// It replaces filters and projections, which it keeps: see [`FusedPass`].
#[derive(Debug, Clone)]
pub struct FusedExec {
    pass: FusedPass,
    /// The largest number of rows in the result of a partition.
    fetch: Option<usize>,
    metrics: ExecutionPlanMetricsSet,
}

impl FusedExec {
    /// The operator whose rows are those of a pass, at most `fetch` in each partition.
    pub fn new(pass: FusedPass, fetch: Option<usize>) -> Self {
        Self { pass, fetch, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// The filter, the expressions and what is replaced.
    pub fn pass(&self) -> &FusedPass {
        &self.pass
    }

    fn with_pass(&self, pass: FusedPass) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(pass, self.fetch))
    }
}

impl DisplayAs for FusedExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let pass = &self.pass;
        if format == DisplayFormatType::TreeRender {
            pass.fmt_tree(f)?;
            for (expression, field) in pass.expressions.iter().zip(pass.rows.schema().fields()) {
                let text = pass.without_backend(&fmt_sql(expression.as_ref()).to_string());
                writeln!(f, "{}={text}", pass.without_backend(field.name()))?;
            }
            return self.fetch.map_or(Ok(()), |fetch| writeln!(f, "fetch={fetch}"));
        }
        pass.fmt_as("FusedExec", format, f)?;
        let expressions = pass.expressions.iter().zip(pass.rows.schema().fields());
        let expressions = expressions.map(|(expression, field)| {
            let text = pass.without_backend(&expression.to_string());
            let name = pass.without_backend(field.name());
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
        self.pass.replaced.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.pass.input]
    }

    fn with_preserve_order(&self, preserve: bool) -> Option<Arc<dyn ExecutionPlan>> {
        let input = self.pass.input.with_preserve_order(preserve)?;
        Some(self.with_pass(self.pass.with_input(input).ok()?))
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![true]
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        match self.pass.rows.has_filter() {
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
        self.pass.apply_expressions(f)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.with_pass(self.pass.with_children(children)?))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.pass.statistics(args)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batch_size = context.session_config().batch_size();
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let kernel = self.pass.kernel_context(&context);
        let schema = self.schema();
        let batches = Batches {
            input: self.pass.input.execute(partition, context)?,
            rows: Arc::clone(&self.pass.rows),
            kernel,
            rest: None,
            results: LimitedBatchCoalescer::new(Arc::clone(&schema), batch_size, self.fetch),
            batch_size,
            device_rows: self.pass.rows.kernels().filter_map(|kernel| kernel.device_batch_rows()).min(),
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
        Some(self.pass.with_compile_time(self.metrics.clone_inner()))
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
    /// The smallest number of rows for which a kernel uses a device.
    device_rows: Option<usize>,
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
                    let compute_time = self.baseline.elapsed_compute().clone();
                    let _timer = compute_time.timer();
                    let result = self.evaluate(batch).await?;
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

    /// Evaluates a batch, and lets other tasks run while a GPU does.
    async fn evaluate(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        if !self.rows.uses_device(batch.num_rows()) {
            return self.rows.evaluate(&batch, &mut self.selectivity, &self.kernel);
        }
        let (rows, kernel, mut selectivity) = (Arc::clone(&self.rows), self.kernel.clone(), self.selectivity);
        let (result, selectivity) = on_blocking_thread(move || {
            let result = rows.evaluate(&batch, &mut selectivity, &kernel);
            (result, selectivity)
        })
        .await?;
        self.selectivity = selectivity;
        result
    }

    /// The next rows of the input: of a batch for a device all, of others at most as many as a batch has, so that results stay in
    /// the cache until they are read.
    async fn next_input(&mut self) -> Result<Option<RecordBatch>> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.input.next().await.transpose()? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        let rows = batch.num_rows();
        let is_for_device = self.device_rows.is_some_and(|least| rows >= least);
        if is_for_device || rows < 2 * self.batch_size {
            return Ok(Some(batch));
        }
        self.rest = Some(batch.slice(self.batch_size, rows - self.batch_size));
        Ok(Some(batch.slice(0, self.batch_size)))
    }
}
