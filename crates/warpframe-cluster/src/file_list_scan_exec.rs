//! File scans in the plans that are sent to the scheduler, with their file lists as rows of an in-memory table.
//!
//! The scheduler encodes a plan for every task. Of a file scan it copies the files of all partitions into each, which is
//! quadratic in the number of tasks; of an in-memory table it copies only the task's own partition.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, Statistics, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use datafusion_proto::protobuf;
use prost::Message;

use super::memory_source::memory_source;

/// A file scan whose files are the rows of its first input, an in-memory table, each a `PartitionedFile` of
/// datafusion-proto. The second input is the scan without files.
#[derive(Debug)]
pub(super) struct FileListScanExec {
    files: Arc<dyn ExecutionPlan>,
    template: Arc<dyn ExecutionPlan>,
    /// The template with the files, which is executed.
    scan: Arc<DataSourceExec>,
}

impl FileListScanExec {
    /// The operator's name.
    pub const NAME: &'static str = "FileListScanExec";

    /// The scan `template` of the files in `files`.
    ///
    /// # Errors
    /// `files` is not an in-memory table of encoded files, or `template` is not a file scan.
    pub fn try_new(files: Arc<dyn ExecutionPlan>, template: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let (Some(table), Some(config)) = (memory_source(&files), file_scan(&template)) else {
            return internal_err!(
                "FileListScanExec needs an in-memory table and a file scan, not {}",
                files.name()
            );
        };
        let groups = table.partitions().iter().map(|batches| decode_file_group(batches));
        let scan = with_file_groups(config, groups.collect::<Result<_>>()?);
        Ok(Self { files, template, scan })
    }
}

/// Replaces the file scans of a plan by [`FileListScanExec`].
pub(super) fn externalize_file_lists(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|node| {
        let Some(config) = file_scan(&node) else { return Ok(Transformed::no(node)) };
        // A partitioning by values is derived from the file list, which the template lacks.
        if !matches!(node.output_partitioning(), Partitioning::UnknownPartitioning(_)) {
            return Ok(Transformed::no(node));
        }
        let schema = Arc::new(Schema::new(vec![Field::new("file", DataType::Binary, false)]));
        let rows = config.file_groups.iter().map(|group| {
            let files = group.files().iter();
            let files = files.map(|file| Ok(protobuf::PartitionedFile::try_from(file)?.encode_to_vec()));
            let files = BinaryArray::from_iter_values(files.collect::<Result<Vec<_>>>()?);
            Ok(vec![RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(files)])?])
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let files = MemorySourceConfig::try_new_exec(&rows, schema, None)?;
        Ok(Transformed::yes(Arc::new(FileListScanExec::try_new(
            files,
            with_file_groups(config, Vec::new()),
        )?)))
    })?;
    Ok(plan.data)
}

fn file_scan(node: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    let source: &dyn std::any::Any = node.downcast_ref::<DataSourceExec>()?.data_source().as_ref();
    source.downcast_ref()
}

fn with_file_groups(config: &FileScanConfig, groups: Vec<FileGroup>) -> Arc<DataSourceExec> {
    let config = FileScanConfigBuilder::from(config.clone()).with_file_groups(groups).build();
    DataSourceExec::from_data_source(config)
}

/// Decodes the files of one partition.
fn decode_file_group(batches: &[RecordBatch]) -> Result<FileGroup> {
    let invalid = || DataFusionError::Internal("cannot decode the files of a scan".to_owned());
    let mut files = Vec::new();
    for batch in batches {
        let column = batch.columns().first().and_then(|column| column.as_binary_opt::<i32>());
        for file in column.ok_or_else(invalid)?.iter() {
            let file = protobuf::PartitionedFile::decode(file.unwrap_or_default()).map_err(|_| invalid())?;
            files.push(PartitionedFile::try_from(&file)?);
        }
    }
    Ok(FileGroup::new(files))
}

impl DisplayAs for FileListScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        if format != DisplayFormatType::TreeRender {
            write!(f, "FileListScanExec: ")?;
        }
        write!(f, "partitions={}", self.properties().output_partitioning().partition_count())
    }
}

impl ExecutionPlan for FileListScanExec {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.files, &self.template]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
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
        match <[_; 2]>::try_from(children) {
            Ok([files, template]) => Ok(Arc::new(Self::try_new(files, template)?)),
            Err(_) => internal_err!("FileListScanExec has two children"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.scan.execute(partition, context)
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        self.scan.statistics_from_inputs(&[], arguments)
    }
}
