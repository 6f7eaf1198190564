//! Batch runs: evaluate a select list over Parquet files into Parquet files. Each partition of the query is
//! streamed into its own shard.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef, UInt64Type};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DataFusionError, Result};
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use crate::error_location::ErrorLocator;
use crate::rows_read::rows_read;
use crate::session::Session;
use warpframe_cluster::{ClusterExec, ClusterSettings, as_cluster_exec};
use warpframe_datafusion::memory::MemoryLimit;
use warpframe_datafusion::options::WarpframeOptions;
use warpframe_io::{
    Attempts, ParquetInput, Progress, Shard, ShardWriter, Staging, WriteShardsExec, WriteSummary,
    WriterSettings, concatenate_shards,
};

/// Evaluates expressions over Parquet files into Parquet files.
///
/// The output has the rows in the order of the input files, and the key-value metadata that is the same in all of
/// them. An input without rows gives an output with the columns and without rows.
#[derive(Debug, Clone)]
pub struct BatchRun {
    /// A file, a folder, a glob pattern, or a URL in an object store (`s3://BUCKET/PATH`; if it ends in '/', all
    /// `*.parquet` objects directly below it).
    pub input: String,
    /// SQL statements that are run before the query, such as `CREATE FUNCTION`.
    pub init: Option<String>,
    /// The SQL select list, such as `id, log3(x, y, z) AS r`.
    pub select: String,
    /// The SQL condition that selects rows.
    pub filter: Option<String>,
    /// A path or URL: one file if the name ends in `.parquet`, otherwise a folder of shards.
    pub output: PathBuf,
    /// Whether an existing output may be replaced.
    pub overwrite: bool,
    /// The settings of the Parquet writer.
    pub settings: WriterSettings,
    /// The number of partitions and thereby of shards; by default that of the CPU's cores.
    pub threads: Option<NonZeroUsize>,
    /// The memory limit of operators and writers.
    pub memory_limit: MemoryLimit,
    /// The name of the backend that evaluates fused expressions.
    pub backend: String,
    /// The cluster that runs the query; this process by default.
    pub cluster: Option<ClusterSettings>,
}

impl BatchRun {
    /// The SQL query of the run. It reads the table `input`.
    pub fn query(&self) -> String {
        let filter = self.filter.as_ref().map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
        format!("SELECT {} FROM input{filter}", self.select)
    }

    /// Runs the query and writes its output. If it fails, or the future is dropped before it completes, nothing is
    /// written.
    ///
    /// # Errors
    /// The input cannot be read, a SQL statement is invalid, the query fails, or the output cannot be
    /// written.
    pub async fn run(&self, progress: Arc<dyn Progress>) -> Result<WriteSummary> {
        let mut session = Session::builder().backend(&self.backend).memory_limit(self.memory_limit);
        if let Some(threads) = self.threads {
            session = session.threads(threads);
        }
        if let Some(cluster) = &self.cluster {
            session = session.cluster(cluster.clone());
        }
        Ok(self.run_in(&session.build()?, progress).await?)
    }

    /// Runs the query in a session, with its functions, tables and settings instead of those that [`run`](Self::run) takes
    /// from `threads`, `memory_limit`, `backend` and `cluster`. The session is not changed, whatever the statements of
    /// `init` do.
    ///
    /// # Errors
    /// As of [`run`](Self::run), with the step that has failed.
    pub async fn run_in(
        &self,
        session: &Session,
        progress: Arc<dyn Progress>,
    ) -> Result<WriteSummary, BatchError> {
        let at = |step| move |error| BatchError { step, error };
        let session = session.private_copy().await.map_err(at(BatchStep::Plan))?;
        let input = ParquetInput::open(&self.input, session.context()).await.map_err(at(BatchStep::Input))?;
        if let Some(statements) = &self.init {
            session.run_script(statements).await.map_err(at(BatchStep::Init))?;
        }
        let table = input.table().map_err(at(BatchStep::Input))?;
        session.register_table("input", table).map_err(at(BatchStep::Plan))?;
        let query = session.sql(&self.query()).await.map_err(at(BatchStep::Plan))?;

        if !input.dropped_metadata().is_empty() {
            let keys = input.dropped_metadata().join(", ");
            progress
                .warn(&format!("the files disagree on this metadata, so the output has none of it: {keys}"));
        }
        progress.start(input.rows());
        let runtime = session.context().runtime_env();
        let staging = Staging::new(&self.output, self.overwrite, &runtime).await;
        let staging = staging.map_err(at(BatchStep::Output))?;
        let metadata = input.schema().metadata().clone();
        let written = write_query(query, metadata, staging, self.settings, progress).await;
        written.map_err(at(BatchStep::Execute))
    }
}

/// A step of a batch run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchStep {
    /// Opening the input.
    Input,
    /// Running the statements of `init`.
    Init,
    /// Planning the query.
    Plan,
    /// Preparing the output.
    Output,
    /// Executing the query, and writing and publishing its rows.
    Execute,
}

/// Why a batch run has failed.
#[derive(Debug)]
pub struct BatchError {
    /// The step that has failed.
    pub step: BatchStep,
    /// Its error.
    pub error: DataFusionError,
}

impl From<BatchError> for DataFusionError {
    fn from(failed: BatchError) -> Self {
        failed.error
    }
}

/// Writes the rows of a query as Parquet, in the order of the files it reads, and publishes the output. `metadata`
/// becomes the key-value metadata of every file. If it fails, nothing is written.
///
/// # Errors
/// The query fails, or the output cannot be written.
pub async fn write_query(
    query: DataFrame,
    metadata: HashMap<String, String>,
    staging: Staging,
    settings: WriterSettings,
    progress: Arc<dyn Progress>,
) -> Result<WriteSummary> {
    let locator = ErrorLocator::of(&query);
    let written = write_rows(query, metadata, staging, settings, progress).await;
    written.map_err(|error| locator.locate(error))
}

async fn write_rows(
    query: DataFrame,
    metadata: HashMap<String, String>,
    staging: Staging,
    settings: WriterSettings,
    progress: Arc<dyn Progress>,
) -> Result<WriteSummary> {
    let (plan, context) = plan_in_order(query).await?;
    if let Some(cluster) = as_cluster_exec(&plan) {
        let attempts = staging.create_attempts().await?;
        let written = write_shards_on_cluster(cluster, metadata, &context, &attempts, settings).await;
        let published = match written {
            Ok(files) => publish_written_files(&attempts, files, staging).await,
            Err(error) => Err(error),
        };
        return attempts.finish(published).await;
    }
    let schema = Arc::new(Schema::new_with_metadata(plan.schema().fields().clone(), metadata));
    let shards = write_partitions(&plan, &schema, &context, &staging, settings, progress).await?;
    let (shards, empty) = split_empty(shards, Shard::rows);
    for shard in empty {
        std::fs::remove_file(&shard.path)?;
    }
    publish(shards, staging).await
}

/// Publishes the output. If it is a single file, the shards are concatenated first.
async fn publish(mut shards: Vec<Shard>, staging: Staging) -> Result<WriteSummary> {
    if staging.is_file() {
        shards = vec![concatenate_shards(shards, &staging.shard_path(0)).await?];
    }
    staging.publish().await?;
    Ok(WriteSummary::from_shards(&shards))
}

/// Plans a query so that its partitions, one after the other, have the rows in the order of its tables, unless
/// the query itself reorders them.
///
/// # Errors
/// The query has no physical plan.
pub async fn plan_in_order(query: DataFrame) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
    let (mut state, query) = query.into_parts();
    // Round-robin repartitioning would distribute the batches of a partition to all partitions.
    let options = state.config_mut().options_mut();
    options.optimizer.enable_round_robin_repartition = false;
    // A sort-merge join sorts its inputs; a hash join keeps the order of one.
    if let Some(warpframe) = options.extensions.get_mut::<WarpframeOptions>() {
        warpframe.spill_joins = false;
    }
    let mut plan = state.create_physical_plan(&query).await?;
    // A join distributes rows by hash, or merges the partitions of one of its inputs as they come. Subqueries in conditions
    // are joins.
    if plan.exists(|part| Ok(part.name().contains("Join")))? {
        state.config_mut().options_mut().execution.target_partitions = 1;
        plan = state.create_physical_plan(&query).await?;
    }
    // Otherwise a file scan moves files from busy partitions to idle ones.
    let in_order = |plan: Arc<dyn ExecutionPlan>| plan.with_preserve_order(true).unwrap_or(plan);
    let plan = match as_cluster_exec(&plan) {
        Some(cluster) => Arc::new(cluster.with_plan(in_order(Arc::clone(cluster.plan())))),
        None => in_order(plan),
    };
    Ok((plan, state.task_ctx()))
}

/// The file that an executor has written for a partition.
struct WrittenFile {
    name: String,
    rows: u64,
    bytes: u64,
}

/// Runs a query on a cluster whose executors write each partition into a file.
async fn write_shards_on_cluster(
    cluster: &ClusterExec,
    metadata: HashMap<String, String>,
    context: &Arc<TaskContext>,
    attempts: &Attempts,
    settings: WriterSettings,
) -> Result<Vec<WrittenFile>> {
    let metadata = metadata.into_iter().collect();
    let sink = WriteShardsExec::new(Arc::clone(cluster.plan()), attempts.path_or_url(), settings, metadata);
    let written = cluster.with_plan(Arc::new(sink)).execute(0, Arc::clone(context))?;
    let written: Vec<RecordBatch> = written.try_collect().await?;
    let mut files = Vec::new();
    for batch in &written {
        let names = batch.column(0).as_string::<i32>();
        let [rows, bytes] = [1, 2].map(|column| batch.column(column).as_primitive::<UInt64Type>());
        files.extend((0..batch.num_rows()).map(|file| WrittenFile {
            name: names.value(file).to_owned(),
            rows: rows.value(file),
            bytes: bytes.value(file),
        }));
    }
    Ok(files)
}

/// Publishes the files that the query has returned. Files of failed or repeated attempts are not among them.
async fn publish_written_files(
    attempts: &Attempts,
    files: Vec<WrittenFile>,
    staging: Staging,
) -> Result<WriteSummary> {
    let (files, _) = split_empty(files.into_iter().enumerate().collect(), |(_, file)| file.rows);
    let named: Vec<_> = files
        .iter()
        .map(|(number, file)| (staging.part_name(*number, "parquet"), file.name.clone()))
        .collect();
    if staging.publish_attempts(attempts, &named).await? {
        let files = files.iter().map(|(_, file)| file);
        let (rows, bytes) = (files.clone().map(|file| file.rows).sum(), files.map(|file| file.bytes).sum());
        return Ok(WriteSummary { rows, bytes, files: named.len() });
    }
    let mut shards = Vec::new();
    for (to, name) in named {
        let to = staging.data().join(to);
        attempts.fetch(&name, &to).await?;
        shards.push(Shard::open(to)?);
    }
    publish(shards, staging).await
}

/// Writes all partitions concurrently, each into its shard.
async fn write_partitions(
    plan: &Arc<dyn ExecutionPlan>,
    schema: &SchemaRef,
    context: &Arc<TaskContext>,
    staging: &Staging,
    settings: WriterSettings,
    progress: Arc<dyn Progress>,
) -> Result<Vec<Shard>> {
    let mut tasks = JoinSet::new();
    let partitions = plan.output_partitioning().partition_count();
    // Shards that will be concatenated need not be synced.
    let durable = !staging.is_file() || partitions == 1;
    for partition in 0..partitions {
        // The files are created before the tasks are spawned, so that removing the folder of a cancelled run does
        // not race with it.
        let properties = settings.properties(schema)?;
        let path = staging.shard_path(partition);
        let writer =
            ShardWriter::create(path, Arc::clone(schema), properties, durable, context.memory_pool())?;
        let stream = plan.execute(partition, Arc::clone(context))?;
        let (plan, progress) = (Arc::clone(plan), Arc::clone(&progress));
        tasks.spawn(async move {
            let shard = write_stream(stream, writer, || progress.position(rows_read(&plan))).await?;
            Ok((partition, shard))
        });
    }
    let mut shards = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        match ended.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error))).flatten() {
            Ok(shard) => shards.push(shard),
            Err(error) => {
                tasks.shutdown().await;
                return Err(error);
            }
        }
    }
    shards.sort_by_key(|(partition, _)| *partition);
    Ok(shards.into_iter().map(|(_, shard)| shard).collect())
}

/// Writes a stream of batches, and calls `after_batch` after each.
async fn write_stream(
    mut stream: SendableRecordBatchStream,
    mut writer: ShardWriter,
    after_batch: impl Fn(),
) -> Result<Shard> {
    // Encoding and writing block this thread, as DataFusion's operators do: encoding is computation, and writes go to
    // the page cache.
    while let Some(batch) = stream.next().await {
        writer.write(&batch?)?;
        after_batch();
    }
    writer.finish()
}

/// Splits files into those to keep and those to remove. Files without rows are removed, except the first if all are
/// empty, which has the output's schema.
fn split_empty<T>(files: Vec<T>, rows: impl Fn(&T) -> u64) -> (Vec<T>, Vec<T>) {
    let mut keep_one = files.iter().all(|file| rows(file) == 0);
    files.into_iter().partition(|file| rows(file) > 0 || std::mem::take(&mut keep_one))
}
