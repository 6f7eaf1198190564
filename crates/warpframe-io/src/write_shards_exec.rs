//! A physical operator that writes each partition as files on the host that computes it, so that the rows of a query on a
//! cluster are not sent to the client. Each task attempt writes files with unique names. The client publishes the files that
//! the operator's output names and removes the others.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
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
use parking_lot::Mutex;
use tempfile::TempPath;

use super::commit::ObjectStoreAttempts;
use super::file_error::file_error;
use super::object_location::ObjectLocation;
use super::output_settings::OutputSettings;
use super::task_files::{TaskFile, TaskFiles};
use super::url_schemes::is_object_store_url;

/// Writes each partition of its input as a file into a folder, or as the files of partition folders. The output has one row per
/// file: its name, its partition folder, its number of rows and its size in bytes.
#[derive(Debug, Clone)]
pub struct WriteShardsExec {
    input: Arc<dyn ExecutionPlan>,
    folder: PathBuf,
    settings: OutputSettings,
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
        settings: OutputSettings,
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

    /// `file: Utf8, folder: Utf8, rows: UInt64, bytes: UInt64`, none of them nullable. `folder` is empty without partition
    /// folders.
    pub fn schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            Arc::new(Schema::new(vec![
                Field::new("file", DataType::Utf8, false),
                Field::new("folder", DataType::Utf8, false),
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

    /// How the files are written.
    pub fn settings(&self) -> &OutputSettings {
        &self.settings
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
        Ok(Arc::new(Self::new(input, self.folder.clone(), self.settings.clone(), self.metadata.clone())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, Arc::clone(&context))?;
        let write = WritePartition {
            folder: self.folder.clone(),
            settings: self.settings.clone(),
            metadata: self.metadata.clone(),
            partitions: self.input.output_partitioning().partition_count(),
        };
        let metrics = WriterMetrics::new(&self.metrics, partition);
        let written = async move {
            let batch = write.run(rows, &metrics, &context).await?;
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

/// What is needed to write one of the partitions.
struct WritePartition {
    folder: PathBuf,
    settings: OutputSettings,
    metadata: BTreeMap<String, String>,
    partitions: usize,
}

impl WritePartition {
    /// Writes one partition, and returns the output rows for its files.
    async fn run(
        self,
        mut rows: SendableRecordBatchStream,
        metrics: &WriterMetrics,
        context: &Arc<TaskContext>,
    ) -> Result<RecordBatch> {
        let fields = rows.schema().fields().clone();
        let schema = Arc::new(Schema::new_with_metadata(fields, self.metadata.into_iter().collect()));
        let runtime = context.runtime_env();
        let location = match self.folder.to_str().filter(|folder| is_object_store_url(folder)) {
            Some(url) => Some(ObjectLocation::new(url, &runtime)?),
            None => None,
        };
        // A file for an object store is first written to a temporary folder of this host.
        let directory = match &location {
            Some(_) => {
                runtime.disk_manager.temp_dir_paths().first().cloned().unwrap_or_else(std::env::temp_dir)
            }
            None => self.folder.clone(),
        };
        // The files are removed if an error occurs or the stream is dropped.
        let attempts = Arc::new(Mutex::new(HashMap::new()));
        let extension = self.settings.extension();
        let new_path = new_attempt(directory.clone(), &extension, Arc::clone(&attempts));
        let pool = context.memory_pool();
        let mut files =
            TaskFiles::create(self.settings, &schema, true, self.partitions, pool, Box::new(new_path))?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let _timer = metrics.baseline.elapsed_compute().timer();
            files.write(&batch)?;
        }
        let files = {
            let _timer = metrics.baseline.elapsed_compute().timer();
            files.finish()?
        };
        for TaskFile { shard, .. } in &files {
            metrics.rows_written.add(shard.rows as usize);
            metrics.bytes_written.add(shard.bytes as usize);
        }
        let mut names = Vec::new();
        for TaskFile { shard, .. } in &files {
            let attempt = attempts.lock().remove(&shard.path);
            names.push(match (&location, attempt) {
                (Some(location), _) => ObjectStoreAttempts::add(location, &shard.path, &extension).await?,
                (None, attempt) => {
                    let name = shard.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    let kept = attempt.map_or(Ok(()), |attempt| attempt.keep().map(|_| ()));
                    kept.map_err(|error| file_error("write into", &self.folder, error))?;
                    name
                }
            });
        }
        let columns: [Arc<dyn arrow::array::Array>; 4] = [
            Arc::new(StringArray::from(names)),
            Arc::new(files.iter().map(|file| Some(file.folder.as_str())).collect::<StringArray>()),
            Arc::new(files.iter().map(|file| file.shard.rows).collect::<UInt64Array>()),
            Arc::new(files.iter().map(|file| file.shard.bytes).collect::<UInt64Array>()),
        ];
        Ok(RecordBatch::try_new(WriteShardsExec::schema(), columns.to_vec())?)
    }
}

/// Makes new files with unique names in a folder, which are removed with `attempts` unless they are kept.
fn new_attempt(
    folder: PathBuf,
    extension: &str,
    attempts: Arc<Mutex<HashMap<PathBuf, TempPath>>>,
) -> impl FnMut(&str, usize) -> Result<PathBuf> + use<> {
    let suffix = format!(".{extension}");
    move |_, _| {
        let mut builder = tempfile::Builder::new();
        builder.prefix("attempt-").suffix(&suffix);
        // The default of tempfile is 0600; an output gets the permissions of a new file, 0666 less the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let attempt =
            builder.tempfile_in(&folder).map_err(|error| file_error("write into", &folder, error))?;
        let attempt = attempt.into_temp_path();
        let path = attempt.to_path_buf();
        attempts.lock().insert(path.clone(), attempt);
        Ok(path)
    }
}
