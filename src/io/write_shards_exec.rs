//! The plan node that writes Parquet where its rows are: every partition into a file of its own, so that the
//! rows of a query on a cluster need not come to the client. Each attempt has its own name; whoever runs the
//! query publishes the files that the plan's rows name, and removes the others.

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
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::{StreamExt, stream};

use super::local_files::file_error;
use super::object_location::ObjectLocation;
use super::object_stores::is_object_store_url;
use super::parquet_shard::ShardWriter;
use super::task_attempts::ObjectStoreAttempts;
use super::writer_settings::WriterSettings;

/// Writes the rows of each partition of its input as a Parquet file into a folder, and gives one row for each:
/// the file's name, its rows and its bytes.
#[derive(Debug, Clone)]
pub struct WriteShardsExec {
    input: Arc<dyn ExecutionPlan>,
    folder: PathBuf,
    settings: WriterSettings,
    metadata: BTreeMap<String, String>,
    properties: Arc<PlanProperties>,
}

impl WriteShardsExec {
    /// Writes the input's rows into an existing folder, or below a URL in an object store. `metadata` becomes the key-value metadata of every file.
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
        Self { input, folder, settings, metadata, properties: Arc::new(properties) }
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

    /// Where the files are written.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How they are written.
    pub fn settings(&self) -> WriterSettings {
        self.settings
    }

    /// Their key-value metadata.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

impl DisplayAs for WriteShardsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "WriteShardsExec: {}", self.folder.display())
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
        let written = async move { write(rows, &folder, settings, metadata, &context).await };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Self::schema(), stream::once(written))))
    }
}

async fn write(
    mut rows: SendableRecordBatchStream,
    folder: &Path,
    settings: WriterSettings,
    metadata: BTreeMap<String, String>,
    context: &Arc<TaskContext>,
) -> Result<RecordBatch> {
    let fields = rows.schema().fields().clone();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.into_iter().collect()));
    let runtime = context.runtime_env();
    let location = match folder.to_str().filter(|folder| is_object_store_url(folder)) {
        Some(url) => Some(ObjectLocation::new(url, &runtime)?),
        None => None,
    };
    // What goes to an object store is written on this host first.
    let here = match &location {
        Some(_) => runtime.disk_manager.temp_dir_paths().first().cloned().unwrap_or_else(std::env::temp_dir),
        None => folder.to_owned(),
    };
    // A file that is given up, by an error or because nobody waits for it any more, removes itself.
    let mut builder = tempfile::Builder::new();
    builder.prefix("attempt-").suffix(".parquet");
    // By default temporary files are private; an output has the permissions of any new file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let attempt =
        builder.tempfile_in(&here).map_err(|error| file_error("write into", &here, error))?.into_temp_path();
    let named = |error: DataFusionError| file_error("write", &attempt, error.find_root().message());
    let properties = settings.properties(&schema)?;
    let mut writer =
        ShardWriter::create(attempt.to_path_buf(), schema, properties, true, context.memory_pool())
            .map_err(named)?;
    while let Some(batch) = rows.next().await {
        writer.write(&batch?).map_err(named)?;
    }
    let shard = writer.finish().map_err(named)?;
    let name = match location {
        Some(place) => ObjectStoreAttempts::add(&place, &attempt).await?,
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
