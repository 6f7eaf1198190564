//! Writes the rows of a query, in the order of the files it reads.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef, UInt64Type};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use super::ordered::{execute_in_order, plan_in_order};
use crate::cluster::{ClusterExec, as_cluster_exec};
use crate::error_location::ErrorLocator;
use crate::rows_read::rows_read;
use warpframe_io::{
    Attempts, OutputSettings, Progress, RowWriter, Shard, ShardWriter, Staging, TaskFile, TaskFiles,
    WriteShardsExec, WriteSummary, check_output_names, concatenate_shards, file_error, partition_columns,
};

/// Writes the rows of a query, in the order of the files it reads, and publishes the output: one file, or a folder with a file for
/// each partition of the query that has rows, or with such files in partition folders. `metadata` becomes the key-value metadata
/// of every Parquet or Arrow file. An output without rows is one file with all columns. If it fails, nothing is written.
///
/// # Errors
/// The query fails, the output cannot be written, two columns have one name, or the format or the partition columns do not fit the
/// columns.
pub async fn write_query(
    query: DataFrame,
    metadata: HashMap<String, String>,
    staging: Staging,
    settings: impl Into<OutputSettings>,
    progress: Arc<dyn Progress>,
) -> Result<WriteSummary> {
    let locator = ErrorLocator::of(&query);
    let written = write_files(query, metadata, staging, settings.into(), progress).await;
    written.map_err(|error| locator.locate(error))
}

async fn write_files(
    query: DataFrame,
    metadata: HashMap<String, String>,
    staging: Staging,
    settings: OutputSettings,
    progress: Arc<dyn Progress>,
) -> Result<WriteSummary> {
    let (plan, context) = plan_in_order(query).await?;
    let rows = as_cluster_exec(&plan).map_or(&plan, ClusterExec::plan);
    let schema = Arc::new(Schema::new_with_metadata(rows.schema().fields().clone(), metadata));
    check_output_names(&schema)?;
    partition_columns(&schema, &settings.partition_by)?;
    if staging.is_file() && !settings.partition_by.is_empty() {
        return exec_err!("the rows are divided into folders: name a folder for the output, and not a file");
    }
    // Files that are joined to one are not compressed; that one is.
    let is_joined = staging.is_file() && rows.output_partitioning().partition_count() > 1;
    let file_settings = if is_joined { settings.uncompressed() } else { settings.clone() };
    let output = Output { schema, settings, file_settings, staging };
    progress.executing(&plan);
    if let Some(cluster) = as_cluster_exec(&plan) {
        let attempts = output.staging.create_attempts().await?;
        let published = match output.write_on_cluster(cluster, &context, &attempts).await {
            Ok(files) => output.publish_attempts(&attempts, files, &context).await,
            Err(error) => Err(error),
        };
        return attempts.finish(published).await;
    }
    let files = output.write_here(&plan, &context, progress).await?;
    output.publish(files, &context).await
}

/// Writes the rows of a query to a stream, in the order of the files it reads, and hands them on as they come. Returns their
/// number.
///
/// # Errors
/// The query fails, the output cannot be written, two columns have one name, or the format does not fit the columns. A part of the
/// rows is written then.
pub async fn write_to(
    query: DataFrame,
    metadata: HashMap<String, String>,
    out: impl Write + Send,
    settings: &OutputSettings,
    progress: Arc<dyn Progress>,
) -> Result<u64> {
    if !settings.partition_by.is_empty() {
        return exec_err!("the rows are divided into folders: name a folder for the output");
    }
    let locator = ErrorLocator::of(&query);
    let (plan, context) = plan_in_order(query).await.map_err(|error| locator.locate(error))?;
    let schema = Arc::new(Schema::new_with_metadata(plan.schema().fields().clone(), metadata));
    check_output_names(&schema)?;
    let mut writer = RowWriter::begin(settings, out, &schema)?;
    let mut batches = locator.stream(execute_in_order(&plan, &context)?);
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        writer.write(&batch)?;
        writer.flush()?;
        rows += batch.num_rows() as u64;
        progress.position(rows_read(&plan));
    }
    writer.finish()?;
    writer.finished_mut().map_or(Ok(()), Write::flush)?;
    Ok(rows)
}

/// What is written, and how.
struct Output {
    /// The columns of the query.
    schema: SchemaRef,
    settings: OutputSettings,
    /// Those of the files that are written first, which may be joined to one.
    file_settings: OutputSettings,
    staging: Staging,
}

/// A file that an executor has written.
struct WrittenFile {
    name: String,
    folder: String,
    rows: u64,
    bytes: u64,
}

impl Output {
    /// Writes all partitions concurrently, and returns their files in the order of the partitions.
    async fn write_here(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
        context: &Arc<TaskContext>,
        progress: Arc<dyn Progress>,
    ) -> Result<Vec<TaskFile>> {
        let mut tasks = JoinSet::new();
        let partitions = plan.output_partitioning().partition_count();
        // Files that will be concatenated need not be synced.
        let durable = !self.staging.is_file() || partitions == 1;
        for partition in 0..partitions {
            // Without partition folders the files are created before the tasks are spawned, so that removing the folder of a
            // cancelled run does not race with it.
            let files = TaskFiles::create(
                self.file_settings.clone(),
                &self.schema,
                durable,
                partitions,
                context.memory_pool(),
                Box::new(self.new_path(partition)),
            )?;
            let stream = plan.execute(partition, Arc::clone(context))?;
            let (plan, progress) = (Arc::clone(plan), Arc::clone(&progress));
            tasks.spawn(async move {
                let files = write_stream(stream, files, || progress.position(rows_read(&plan))).await?;
                Ok((partition, files))
            });
        }
        let mut written = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            match ended.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error))).flatten() {
                Ok(files) => written.push(files),
                Err(error) => {
                    tasks.shutdown().await;
                    return Err(error);
                }
            }
        }
        written.sort_by_key(|(partition, _)| *partition);
        Ok(written.into_iter().flat_map(|(_, files)| files).collect())
    }

    /// Makes the paths of the files of a partition.
    fn new_path(&self, partition: usize) -> impl FnMut(&str, usize) -> Result<PathBuf> + use<> {
        let (data, stem, extension) =
            (self.staging.data(), self.staging.part_stem(partition), self.settings.extension());
        move |folder, number| {
            let folder = data.join(folder);
            std::fs::create_dir_all(&folder).map_err(|error| file_error("create", &folder, error))?;
            // The names sort in the order of the files.
            let number = if number == 0 { String::new() } else { format!("_{number:03}") };
            Ok(folder.join(format!("{stem}{number}.{extension}")))
        }
    }

    /// Publishes files that this process has written.
    async fn publish(self, files: Vec<TaskFile>, context: &TaskContext) -> Result<WriteSummary> {
        let (mut files, empty) = split_empty(files, |file| file.shard.rows);
        for file in empty {
            std::fs::remove_file(&file.shard.path)
                .map_err(|error| file_error("remove", &file.shard.path, error))?;
        }
        if files.is_empty() {
            files.push(self.write_empty(context)?);
        }
        let mut shards: Vec<_> = files.into_iter().map(|file| file.shard).collect();
        if self.staging.is_file() {
            let path = self.staging.shard_path(0);
            let joined = concatenate_shards(shards, &self.file_settings, &path, &self.schema, &self.settings);
            shards = vec![joined.await?];
        }
        self.staging.publish().await?;
        Ok(WriteSummary::from_shards(&shards))
    }

    /// A file without rows that has all columns, for an output without rows.
    fn write_empty(&self, context: &TaskContext) -> Result<TaskFile> {
        let path = self.new_path(0)("", 0)?;
        let settings = OutputSettings { partition_by: Vec::new(), ..self.settings.clone() };
        let writer = ShardWriter::create(path, &self.schema, &settings, true, context.memory_pool())?;
        Ok(TaskFile { folder: String::new(), shard: writer.finish()? })
    }

    /// Runs a query on a cluster whose executors write the files of each partition.
    async fn write_on_cluster(
        &self,
        cluster: &ClusterExec,
        context: &Arc<TaskContext>,
        attempts: &Attempts,
    ) -> Result<Vec<WrittenFile>> {
        let metadata = self.schema.metadata().clone().into_iter().collect();
        let (rows, folder) = (Arc::clone(cluster.plan()), attempts.path_or_url());
        let sink = WriteShardsExec::new(rows, folder, self.file_settings.clone(), metadata);
        let written = cluster.with_plan(Arc::new(sink)).execute(0, Arc::clone(context))?;
        let written: Vec<RecordBatch> = written.try_collect().await?;
        let mut files = Vec::new();
        for batch in &written {
            let (found, expected) = (batch.schema(), WriteShardsExec::schema());
            if !found
                .fields()
                .iter()
                .map(|field| field.data_type())
                .eq(expected.fields().iter().map(|field| field.data_type()))
            {
                return exec_err!(
                    "an executor has returned something else than the files that it has written"
                );
            }
            let [names, folders] = [0, 1].map(|column| batch.column(column).as_string::<i32>());
            let [rows, bytes] = [2, 3].map(|column| batch.column(column).as_primitive::<UInt64Type>());
            files.extend((0..batch.num_rows()).map(|file| WrittenFile {
                name: names.value(file).to_owned(),
                folder: folders.value(file).to_owned(),
                rows: rows.value(file),
                bytes: bytes.value(file),
            }));
        }
        Ok(files)
    }

    /// Publishes the files that the query has returned. Files of failed or repeated attempts are not among them.
    async fn publish_attempts(
        self,
        attempts: &Attempts,
        files: Vec<WrittenFile>,
        context: &TaskContext,
    ) -> Result<WriteSummary> {
        let (files, _) = split_empty(files.into_iter().enumerate().collect(), |(_, file)| file.rows);
        if files.is_empty() {
            return self.publish(Vec::new(), context).await;
        }
        let named: Vec<_> = files
            .iter()
            .map(|(number, file)| {
                let name = self.staging.part_name(*number, &self.settings.extension());
                let name = if file.folder.is_empty() { name } else { format!("{}/{name}", file.folder) };
                (name, file.name.clone())
            })
            .collect();
        if let Some((_, other)) = files.iter().find(|(_, file)| !self.is_partition_folder(&file.folder)) {
            return exec_err!(
                "an executor says that it has written into '{}', which is not a folder of this query",
                other.folder
            );
        }
        if self.staging.publish_attempts(attempts, &named).await? {
            let files = files.iter().map(|(_, file)| file);
            let (rows, bytes) =
                (files.clone().map(|file| file.rows).sum(), files.map(|file| file.bytes).sum());
            return Ok(WriteSummary { rows, bytes, files: named.len() });
        }
        let mut fetched = Vec::new();
        for ((to, name), (_, file)) in named.into_iter().zip(files) {
            let to = self.staging.data().join(to);
            if let Some(folder) = to.parent() {
                std::fs::create_dir_all(folder).map_err(|error| file_error("create", folder, error))?;
            }
            attempts.fetch(&name, &to).await?;
            let shard = Shard::open(to, file.rows, self.settings.file_type.format)?;
            fetched.push(TaskFile { folder: file.folder, shard });
        }
        self.publish(fetched, context).await
    }

    /// Whether a name that an executor reports is that of a folder of this query, and not a path to another place.
    fn is_partition_folder(&self, folder: &str) -> bool {
        let columns = &self.settings.partition_by;
        match folder.is_empty() {
            true => columns.is_empty(),
            false => {
                let is_column = |part: &str| part.contains('=') && !part.starts_with('.');
                folder.split('/').count() == columns.len() && folder.split('/').all(is_column)
            }
        }
    }
}

/// Writes a stream of batches, and calls `after_batch` after each.
async fn write_stream(
    mut stream: SendableRecordBatchStream,
    mut files: TaskFiles,
    after_batch: impl Fn(),
) -> Result<Vec<TaskFile>> {
    // Encoding and writing block this thread, as DataFusion's operators do: encoding is computation, and writes go to
    // the page cache.
    while let Some(batch) = stream.next().await {
        files.write(&batch?)?;
        after_batch();
    }
    files.finish()
}

/// Splits files into those to keep and those to remove. Files without rows are removed, except the first if all are
/// empty, which has the output's schema.
fn split_empty<T>(files: Vec<T>, rows: impl Fn(&T) -> u64) -> (Vec<T>, Vec<T>) {
    let mut keep_one = files.iter().all(|file| rows(file) == 0);
    files.into_iter().partition(|file| rows(file) > 0 || std::mem::take(&mut keep_one))
}
