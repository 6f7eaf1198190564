//! The scan of Arrow IPC files on the executors' machine.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::limit::LimitStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::{TryStreamExt, stream};
use warpframe_datafusion::operators::timed;

use super::mmap_ipc_reader::MmapIpcReader;
use super::staged_files::StagedFiles;

/// Scans memory-mapped Arrow IPC files. Its input, an in-memory table, has a row with the path of each file: of such a
/// table the scheduler copies only a task's own partition. The partitions are those of the input.
#[derive(Debug)]
pub(super) struct IpcScanExec {
    files: Arc<dyn ExecutionPlan>,
    /// The maximum number of rows of each partition.
    fetch: Option<usize>,
    /// In the session that has staged the table: keeps the files as long as the plan.
    staged: Option<Arc<StagedFiles>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl IpcScanExec {
    /// The operator's name.
    pub const NAME: &'static str = "IpcScanExec";

    /// The scan of a staged table with this schema.
    pub fn from_staged_files(
        files: Arc<StagedFiles>,
        schema: SchemaRef,
        fetch: Option<usize>,
    ) -> Result<Self> {
        let rows = Arc::new(Schema::new(vec![Field::new("file", DataType::Utf8, false)]));
        let partitions = files.paths.iter().map(|file| {
            let file = StringArray::from_iter_values([file.to_string_lossy()]);
            Ok(vec![RecordBatch::try_new(Arc::clone(&rows), vec![Arc::new(file)])?])
        });
        let partitions = partitions.collect::<Result<Vec<_>>>()?;
        let scan = Self::try_new(MemorySourceConfig::try_new_exec(&partitions, rows, None)?, schema, fetch)?;
        Ok(Self { staged: Some(files), ..scan })
    }

    /// The scan of the files whose paths are the rows of `files`.
    ///
    /// # Errors
    /// `files` has other columns than one of type Utf8.
    pub fn try_new(files: Arc<dyn ExecutionPlan>, schema: SchemaRef, fetch: Option<usize>) -> Result<Self> {
        let types: Vec<_> = files.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        if types != [DataType::Utf8] {
            return internal_err!("the input of IpcScanExec has one column of type Utf8, not {types:?}");
        }
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            files.output_partitioning().clone(),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Ok(Self { files, fetch, staged: None, properties, metrics })
    }

    /// The maximum number of rows of each partition.
    pub fn limit(&self) -> Option<usize> {
        self.fetch
    }
}

/// The batches of the files whose paths are the rows of a batch.
fn read_files(paths: &RecordBatch) -> impl Iterator<Item = Result<RecordBatch>> + use<> {
    let files: Vec<_> = paths.column(0).as_string::<i32>().iter().flatten().map(PathBuf::from).collect();
    files.into_iter().flat_map(|file| {
        let (batches, error) = match MmapIpcReader::open(&file, &file.to_string_lossy()) {
            Ok(batches) => (Some(batches), None),
            Err(error) => (None, Some(Err(error))),
        };
        batches.into_iter().flatten().chain(error)
    })
}

impl DisplayAs for IpcScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let partitions = self.properties.output_partitioning().partition_count();
        if format == DisplayFormatType::TreeRender {
            writeln!(f, "partitions={partitions}")?;
            return self.fetch.map_or(Ok(()), |fetch| writeln!(f, "fetch={fetch}"));
        }
        write!(f, "IpcScanExec: partitions={partitions}")?;
        match self.fetch {
            Some(fetch) => write!(f, ", fetch={fetch}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for IpcScanExec {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.files]
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
        match <[_; 1]>::try_from(children) {
            Ok([files]) => {
                let scan = Self::try_new(files, self.schema(), self.fetch)?;
                Ok(Arc::new(Self { staged: self.staged.clone(), ..scan }))
            }
            Err(_) => internal_err!("IpcScanExec has one child"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let paths = self.files.execute(partition, context)?;
        let rows = paths.map_ok(|paths| stream::iter(read_files(&paths))).try_flatten();
        let rows = timed(rows, metrics.elapsed_compute().clone());
        let rows = Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows));
        // Mapped batches are always ready, so the stream has to yield to the tokio runtime explicitly.
        Ok(make_cooperative(Box::pin(LimitStream::new(rows, 0, self.fetch, metrics))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
