//! The physical operator that generates rows. Its input is a plan whose rows are ranges of row numbers.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, UInt64Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::distribution::RowGenerator;

/// Generates rows in batches of the session's batch size. Its input has two columns: the start of a range of row
/// numbers and its exclusive end. The ranges are an input plan so that a scheduler that splits plans by the partitions
/// of their leaves can distribute them.
#[derive(Debug, Clone)]
pub struct GenerateExec {
    input: Arc<dyn ExecutionPlan>,
    generator: RowGenerator,
    columns: Arc<[usize]>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl GenerateExec {
    /// An operator with one partition for each range of rows. `columns` are indices into
    /// [`RowGenerator::schema`].
    ///
    /// # Errors
    /// A column index is out of range.
    pub fn new(
        generator: RowGenerator,
        columns: Arc<[usize]>,
        ranges: impl Iterator<Item = Range<u64>>,
    ) -> Result<Self> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("start", DataType::UInt64, false),
            Field::new("end", DataType::UInt64, false),
        ]));
        let partitions = ranges.map(|range| {
            let [start, end] =
                [range.start, range.end].map(|row| Arc::new(UInt64Array::from(vec![row])) as _);
            Ok(vec![RecordBatch::try_new(Arc::clone(&schema), vec![start, end])?])
        });
        let partitions = partitions.collect::<Result<Vec<_>>>()?;
        Self::over(MemorySourceConfig::try_new_exec(&partitions, schema, None)?, generator, columns)
    }

    /// An operator that generates the rows of the ranges in `input`.
    ///
    /// # Errors
    /// A column index is out of range, or the input does not have exactly two columns of type UInt64.
    pub fn over(
        input: Arc<dyn ExecutionPlan>,
        generator: RowGenerator,
        columns: Arc<[usize]>,
    ) -> Result<Self> {
        let types: Vec<_> = input.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        if types != [DataType::UInt64, DataType::UInt64] {
            return internal_err!("GenerateExec needs an input of two UInt64 columns, not of {types:?}");
        }
        let schema = Arc::new(RowGenerator::schema().project(&columns)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            input.output_partitioning().clone(),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { input, generator, columns, properties: Arc::new(properties), metrics })
    }

    /// The generator of the rows.
    pub fn generator(&self) -> RowGenerator {
        self.generator
    }

    /// The number of rows of all partitions; `None` if the ranges are known only when their plan has run.
    pub fn rows(&self) -> Option<u64> {
        let source = self.input.downcast_ref::<DataSourceExec>()?;
        let memory = source.data_source().downcast_ref::<MemorySourceConfig>()?;
        let ranges = memory.partitions().iter().flatten();
        Some(ranges.flat_map(ranges_of).map(|range| range.end.saturating_sub(range.start)).sum())
    }

    /// The indices of the generated columns in [`RowGenerator::schema`].
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }
}

impl DisplayAs for GenerateExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let columns: Vec<_> = self.schema().fields().iter().map(|field| field.name().clone()).collect();
        let (distribution, columns) = (self.generator.distribution, columns.join(", "));
        match format {
            DisplayFormatType::TreeRender => {
                writeln!(f, "distribution={distribution}")?;
                writeln!(f, "columns={columns}")
            }
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "GenerateExec: {distribution}, columns=[{columns}]")
            }
        }
    }
}

impl ExecutionPlan for GenerateExec {
    fn name(&self) -> &str {
        "GenerateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
        let Ok([input]) = <[_; 1]>::try_from(children) else {
            return internal_err!("GenerateExec has one child");
        };
        Ok(Arc::new(Self::over(input, self.generator, Arc::clone(&self.columns))?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (generator, columns) = (self.generator, Arc::clone(&self.columns));
        let batch_size = context.session_config().batch_size().max(1) as u64;
        let ranges = self.input.execute(partition, context)?;
        let metrics = Arc::new(metrics);
        let rows = ranges.map_ok(move |ranges| {
            let (columns, metrics) = (Arc::clone(&columns), Arc::clone(&metrics));
            stream::iter(batch_ranges(&ranges, batch_size)).map(move |rows| {
                let _timer = metrics.elapsed_compute().timer();
                let batch = generator.batch(rows, &columns).map_err(DataFusionError::from)?;
                Ok(batch.record_output(&metrics))
            })
        });
        let rows = rows.try_flatten();
        // Generating rows is never pending, so the stream yields to the runtime explicitly.
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The ranges in an input batch.
fn ranges_of(ranges: &RecordBatch) -> impl Iterator<Item = Range<u64>> + use<> {
    let column = |column: usize| ranges.column(column).as_primitive::<UInt64Type>().clone();
    let (starts, ends) = (column(0), column(1));
    (0..ranges.num_rows()).map(move |row| starts.value(row)..ends.value(row))
}

/// Splits the ranges of an input batch into ranges of at most `batch_size` rows.
fn batch_ranges(ranges: &RecordBatch, batch_size: u64) -> impl Iterator<Item = Range<u64>> + use<> {
    ranges_of(ranges).flat_map(move |Range { start, end }| {
        (0..end.saturating_sub(start).div_ceil(batch_size)).map(move |batch| {
            let first = start + batch * batch_size;
            first..(first + batch_size).min(end)
        })
    })
}
