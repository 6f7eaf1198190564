//! A physical operator that writes each partition as a Parquet file on the host that computes it, so that the
//! rows of a query on a cluster are not sent to the client. Each task attempt writes a file with a unique name. The
//! client publishes the files that the operator's output names and removes the others.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricCategory, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::{StreamExt, stream};

use super::commit::ObjectStoreAttempts;
use super::file_error::file_error;
use super::object_location::ObjectLocation;
use super::object_stores::is_object_store_url;
use super::parquet_shard::ShardWriter;
use super::writer_settings::WriterSettings;

/// Writes each partition of its input as a Parquet file into a folder. The output has one row per partition: the
/// name of the file, its number of rows and its size in bytes.
#[derive(Debug, Clone)]
pub struct WriteShardsExec {
    input: Arc<dyn ExecutionPlan>,
    folder: PathBuf,
    settings: WriterSettings,
    metadata: BTreeMap<String, String>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WriteShardsExec {
    /// Writes into an existing folder, or below a URL in an object store that was created for task attempts.
    /// `metadata` becomes the key-value metadata of every file.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        folder: PathBuf,
        settings: WriterSettings,
        metadata: BTreeMap<String, String>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Self::schema()),
            input.output_partitioning().clone(),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        Self { input, folder, settings, metadata, properties, metrics }
    }

    /// `file: Utf8, rows: UInt64, bytes: UInt64`, none of them nullable.
    pub fn schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            Arc::new(Schema::new(vec![
                Field::new("file", DataType::Utf8, false),
                Field::new("rows", DataType::UInt64, false),
                Field::new("bytes", DataType::UInt64, false),
            ]))
        });
        Arc::clone(&SCHEMA)
    }

    /// The folder or URL that the files are written into.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings of the Parquet writer.
    pub fn settings(&self) -> WriterSettings {
        self.settings
    }

    /// The key-value metadata of every file.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

impl DisplayAs for WriteShardsExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match format {
            DisplayFormatType::TreeRender => write!(f, "folder={}", self.folder.display()),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "WriteShardsExec: {}", self.folder.display())
            }
        }
    }
}

impl ExecutionPlan for WriteShardsExec {
    fn name(&self) -> &str {
        "WriteShardsExec"
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
            return internal_err!("WriteShardsExec has one child");
        };
        Ok(Arc::new(Self::new(input, self.folder.clone(), self.settings, self.metadata.clone())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, Arc::clone(&context))?;
        let (folder, settings, metadata) = (self.folder.clone(), self.settings, self.metadata.clone());
        let metrics = WriterMetrics::new(&self.metrics, partition);
        let written = async move {
            let batch = write_partition(rows, &folder, settings, metadata, &metrics, &context).await?;
            Ok(batch.record_output(&metrics.baseline))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Self::schema(), stream::once(written))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The metrics of a partition. Its output is one row; those of the file are counted by themselves.
struct WriterMetrics {
    baseline: BaselineMetrics,
    rows_written: Count,
    bytes_written: Count,
}

impl WriterMetrics {
    fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let count =
            |name, category| MetricBuilder::new(metrics).with_category(category).counter(name, partition);
        Self {
            baseline: BaselineMetrics::new(metrics, partition),
            rows_written: count("rows_written", MetricCategory::Rows),
            bytes_written: count("bytes_written", MetricCategory::Bytes),
        }
    }
}

/// Writes one partition, and returns the output row for it.
async fn write_partition(
    mut rows: SendableRecordBatchStream,
    folder: &Path,
    settings: WriterSettings,
    metadata: BTreeMap<String, String>,
    metrics: &WriterMetrics,
    context: &Arc<TaskContext>,
) -> Result<RecordBatch> {
    let fields = rows.schema().fields().clone();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.into_iter().collect()));
    let runtime = context.runtime_env();
    let location = match folder.to_str().filter(|folder| is_object_store_url(folder)) {
        Some(url) => Some(ObjectLocation::new(url, &runtime)?),
        None => None,
    };
    // A file for an object store is first written to a temporary folder of this host.
    let directory = match &location {
        Some(_) => runtime.disk_manager.temp_dir_paths().first().cloned().unwrap_or_else(std::env::temp_dir),
        None => folder.to_owned(),
    };
    // The file is removed if an error occurs or the stream is dropped.
    let mut builder = tempfile::Builder::new();
    builder.prefix("attempt-").suffix(".parquet");
    // The default of tempfile is 0600; an output gets the permissions of a new file, 0666 less the umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let attempt = builder
        .tempfile_in(&directory)
        .map_err(|error| file_error("write into", &directory, error))?
        .into_temp_path();
    let write_error = |error: DataFusionError| file_error("write", &attempt, error.find_root().message());
    let properties = settings.properties(&schema)?;
    let mut writer =
        ShardWriter::create(attempt.to_path_buf(), schema, properties, true, context.memory_pool())
            .map_err(write_error)?;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let _timer = metrics.baseline.elapsed_compute().timer();
        writer.write(&batch).map_err(write_error)?;
    }
    let shard = {
        let _timer = metrics.baseline.elapsed_compute().timer();
        writer.finish().map_err(write_error)?
    };
    metrics.rows_written.add(shard.rows() as usize);
    metrics.bytes_written.add(shard.bytes as usize);
    let name = match location {
        Some(location) => ObjectStoreAttempts::add(&location, &attempt).await?,
        None => {
            let name = attempt.file_name().unwrap_or_default().to_string_lossy().into_owned();
            attempt.keep().map_err(|error| file_error("write into", folder, error))?;
            name
        }
    };
    let columns: [Arc<dyn arrow::array::Array>; 3] = [
        Arc::new(StringArray::from(vec![name])),
        Arc::new(UInt64Array::from(vec![shard.rows()])),
        Arc::new(UInt64Array::from(vec![shard.bytes])),
    ];
    Ok(RecordBatch::try_new(WriteShardsExec::schema(), columns.to_vec())?)
}
