//! The operator that filters rows, computes expressions of them and reduces these in one pass.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Fields, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
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
use super::partial_state::{ReducedAggregate, accumulator, rows_counted};
use crate::device_wait::on_blocking_thread;
use warpframe_ir::backend::KernelContext;
use warpframe_ir::reduction::{Accumulator, Reductions};

/// The first stage of an aggregation without groups: filters the rows of its input, computes expressions of them and reduces
/// these, in one pass by a kernel. Each partition of the result is one row of partial states, which are DataFusion's.
///
/// It replaces an `AggregateExec`, filters and projections, which it keeps: see [`FusedPass`].
#[derive(Debug, Clone)]
pub struct FusedAggregateExec {
    pass: FusedPass,
    aggregates: Vec<ReducedAggregate>,
    /// The aggregates as plans show them.
    names: Vec<String>,
    metrics: ExecutionPlanMetricsSet,
}

impl FusedAggregateExec {
    /// The operator that computes aggregates of the expressions of a pass. `names` are those of the aggregates in plans.
    pub fn new(pass: FusedPass, aggregates: Vec<ReducedAggregate>, names: Vec<String>) -> Self {
        Self { pass, aggregates, names, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// The filter, the expressions and what is replaced.
    pub fn pass(&self) -> &FusedPass {
        &self.pass
    }
}

impl DisplayAs for FusedAggregateExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let names = self.names.iter().map(|name| self.pass.without_backend(name));
        let names = names.collect::<Vec<_>>().join(", ");
        if format == DisplayFormatType::TreeRender {
            self.pass.fmt_tree(f)?;
            return writeln!(f, "aggr={names}");
        }
        self.pass.fmt_as("FusedAggregateExec", format, f)?;
        write!(f, ", aggr=[{names}]")
    }
}

impl ExecutionPlan for FusedAggregateExec {
    fn name(&self) -> &str {
        "FusedAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.pass.replaced.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.pass.input]
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
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
        let pass = self.pass.with_children(children)?;
        Ok(Arc::new(Self { pass, metrics: ExecutionPlanMetricsSet::new(), ..Self::clone(&self) }))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.pass.statistics(args)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let kernel = self.pass.kernel_context(&context);
        let rows = Arc::clone(&self.pass.rows);
        let reduction = Reduction {
            input: self.pass.input.execute(partition, context)?,
            kernel,
            accumulators: accumulators(&rows, &self.aggregates),
            rows,
            aggregates: self.aggregates.clone(),
            schema: self.schema(),
            input_rows: MetricBuilder::new(&self.metrics).counter("input_rows", partition),
            baseline,
        };
        let result = stream::once(reduction.result());
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), result)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.pass.with_compile_time(self.metrics.clone_inner()))
    }
}

/// An accumulator for each expression.
fn accumulators(rows: &FusedRows, aggregates: &[ReducedAggregate]) -> Vec<Accumulator> {
    let fields = rows.schema().fields().iter().enumerate();
    let of_field = fields.map(|(position, field)| {
        let own = aggregates.iter().filter(|aggregate| aggregate.argument == Some(position));
        let reductions = own.map(|aggregate| aggregate.state.reductions());
        accumulator(field.data_type(), reductions.fold(Reductions::default(), Reductions::union))
    });
    of_field.collect()
}

/// The execution of a partition.
struct Reduction {
    input: SendableRecordBatchStream,
    rows: Arc<FusedRows>,
    kernel: KernelContext,
    accumulators: Vec<Accumulator>,
    aggregates: Vec<ReducedAggregate>,
    schema: SchemaRef,
    input_rows: Count,
    baseline: BaselineMetrics,
}

impl Reduction {
    /// Reduces a batch, and lets other tasks run while a GPU does. Returns the number of rows that pass the filter.
    async fn reduce(&mut self, batch: RecordBatch, selectivity: &mut Selectivity) -> Result<usize> {
        if !self.rows.uses_device(batch.num_rows()) {
            return self.rows.reduce(&batch, selectivity, &self.kernel, &mut self.accumulators);
        }
        let (rows, kernel, mut known) = (Arc::clone(&self.rows), self.kernel.clone(), *selectivity);
        let mut accumulators = std::mem::take(&mut self.accumulators);
        let (reduced, known, accumulators) = on_blocking_thread(move || {
            let reduced = rows.reduce(&batch, &mut known, &kernel, &mut accumulators);
            (reduced, known, accumulators)
        })
        .await?;
        (*selectivity, self.accumulators) = (known, accumulators);
        reduced
    }

    /// The row of partial states.
    async fn result(mut self) -> Result<RecordBatch> {
        let mut selectivity = Selectivity::default();
        let mut selected = 0;
        while let Some(batch) = self.input.next().await.transpose()? {
            self.input_rows.add(batch.num_rows());
            let compute_time = self.baseline.elapsed_compute().clone();
            let _timer = compute_time.timer();
            selected += self.reduce(batch, &mut selectivity).await? as u64;
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for ReducedAggregate { state, argument } in &self.aggregates {
            match argument {
                None => columns.push(rows_counted(selected)),
                Some(position) => {
                    let fields = &self.schema.fields()[columns.len()..][..state.width()];
                    columns.extend(state.arrays(&self.accumulators[*position], &Fields::from(fields))?);
                }
            }
        }
        let result = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let result = result.record_output(&self.baseline);
        self.baseline.done();
        Ok(result)
    }
}
