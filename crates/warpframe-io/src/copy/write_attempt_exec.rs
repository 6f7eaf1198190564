//! The physical operator that writes the files of a `COPY` or `INSERT` on an executor of a cluster. Each attempt of its
//! task writes files of its own, which the client publishes if the query has used the attempt.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, Partitioning, PlanProperties,
    execute_input_stream,
};
use futures::stream;

use super::attempt_file::AttemptFile;
use super::copy_output::write_attempt;
use super::copy_sink::CopySink;

/// Writes its input, one partition, as files among the attempts of a task. The output has one row for each file, and one
/// without a file that has the number of all rows.
#[derive(Debug, Clone)]
pub struct WriteAttemptExec {
    input: Arc<dyn ExecutionPlan>,
    sink: CopySink,
    attempts: PathBuf,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WriteAttemptExec {
    /// Writes into an existing folder, or below a URL in an object store that was created for task attempts.
    pub fn new(input: Arc<dyn ExecutionPlan>, sink: CopySink, attempts: PathBuf) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Self::schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { input, sink, attempts, properties, metrics }
    }

    /// `attempt: Utf8, file: Utf8, rows: UInt64`. In the row of a file, `rows` is null; in the row of their number, `attempt`
    /// and `file` are.
    pub fn schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            Arc::new(Schema::new(vec![
                Field::new("attempt", DataType::Utf8, true),
                Field::new("file", DataType::Utf8, true),
                Field::new("rows", DataType::UInt64, true),
            ]))
        });
        Arc::clone(&SCHEMA)
    }

    /// The sink that writes the files.
    pub fn sink(&self) -> &CopySink {
        &self.sink
    }

    /// The folder or URL of the attempts.
    pub fn attempts(&self) -> &Path {
        &self.attempts
    }

    /// The files and the number of rows that a batch of the output tells.
    pub fn written(batch: &RecordBatch) -> (Vec<AttemptFile>, u64) {
        let [attempts, files] = [0, 1].map(|column| batch.column(column).as_string::<i32>());
        let rows = batch.column(2).as_primitive::<UInt64Type>();
        let named = (0..batch.num_rows()).filter(|row| files.is_valid(*row)).map(|row| AttemptFile {
            attempt: attempts.value(row).to_owned(),
            file: files.value(row).to_owned(),
        });
        (named.collect(), rows.iter().flatten().sum())
    }

    /// The output for the files of an attempt.
    fn batch(files: &[AttemptFile], rows: u64) -> Result<RecordBatch> {
        let nothing = std::iter::once(None);
        let attempts = files.iter().map(|file| Some(file.attempt.as_str())).chain(nothing.clone());
        let names = files.iter().map(|file| Some(file.file.as_str())).chain(nothing);
        let rows = files.iter().map(|_| None).chain([Some(rows)]);
        let columns: [Arc<dyn Array>; 3] = [
            Arc::new(attempts.collect::<StringArray>()),
            Arc::new(names.collect::<StringArray>()),
            Arc::new(rows.collect::<UInt64Array>()),
        ];
        Ok(RecordBatch::try_new(Self::schema(), columns.to_vec())?)
    }
}

impl DisplayAs for WriteAttemptExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => writeln!(f, "folder={}", self.attempts.display())?,
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "WriteAttemptExec: {}, sink=", self.attempts.display())?;
            }
        }
        self.sink.operator().sink().fmt_as(format, f)
    }
}

impl ExecutionPlan for WriteAttemptExec {
    fn name(&self) -> &str {
        "WriteAttemptExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.sink.operator().input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.sink.operator().required_input_ordering()
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
            return internal_err!("WriteAttemptExec has one child");
        };
        Ok(Arc::new(Self::new(input, self.sink.clone(), self.attempts.clone())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("WriteAttemptExec has one partition");
        }
        let schema = Arc::clone(self.sink.operator().sink().schema());
        let rows = execute_input_stream(Arc::clone(&self.input), schema, 0, Arc::clone(&context))?;
        let (sink, attempts) = (self.sink.clone(), self.attempts.clone());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let written = async move {
            let (files, rows) = write_attempt(&sink, rows, &attempts, &context).await?;
            let _timer = metrics.elapsed_compute().timer();
            Ok(Self::batch(&files, rows)?.record_output(&metrics))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Self::schema(), stream::once(written))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        self.sink.metrics().iter().for_each(|metric| metrics.push(Arc::clone(metric)));
        Some(metrics)
    }
}
