//! The batch run: Parquet in, a select list, Parquet out. Every partition of the query streams into a
//! shard of its own.

use std::collections::HashMap;
use std::num::NonZeroUsize;
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

use crate::backend::BackendChoice;
use crate::cluster::{ClusterExec, ClusterSettings, as_cluster_exec};
use crate::io::background_cleanup::with_cleanup;
use crate::io::parquet_shard::{Shard, ShardWriter, concatenate};
use crate::io::task_attempts::Attempts;
use crate::io::{ParquetInput, Progress, Staging, WriteShardsExec, WriteSummary, WriterSettings};
use crate::session::Session;

/// Evaluates expressions over Parquet files into Parquet files.
///
/// The rows keep the order of the input files. Other columns, nulls and key-value metadata survive.
#[derive(Debug, Clone)]
pub struct BatchRun {
    /// A file, a folder, a glob, or a URL in an object store (`s3://BUCKET/PATH`; all below it if it ends in '/').
    pub input: String,
    /// SQL statements that run first, such as `CREATE FUNCTION`.
    pub init: Option<String>,
    /// The SQL select list, such as `id, log3(x, y, z) AS r`.
    pub select: String,
    /// The SQL condition for rows to be kept.
    pub filter: Option<String>,
    /// One file where the name ends in `.parquet`, else a folder of shards: a path or a URL.
    pub output: PathBuf,
    /// Whether an existing output is replaced.
    pub overwrite: bool,
    /// How the output is written.
    pub settings: WriterSettings,
    /// Partitions, and so shards; all cores by default.
    pub threads: Option<NonZeroUsize>,
    /// Bytes that the writers and the query's operators may hold.
    pub memory_limit: Option<usize>,
    /// What evaluates warpframe's functions.
    pub backend: BackendChoice,
    /// The cluster that runs it; this process by default.
    pub cluster: Option<ClusterSettings>,
}

impl BatchRun {
    /// The SQL query it runs; its input is the table `input`.
    pub fn query(&self) -> String {
        let filter = self.filter.as_ref().map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
        format!("SELECT {} FROM input{filter}", self.select)
    }

    /// Runs it. Dropped before it is ready, it leaves nothing behind.
    ///
    /// # Errors
    /// The input cannot be read, the select list is not valid for its columns, or the output cannot be
    /// written; nothing is left behind then.
    pub async fn run(&self, progress: Arc<dyn Progress>) -> Result<WriteSummary> {
        let mut session = Session::builder().backend(self.backend);
        if let Some(threads) = self.threads {
            session = session.threads(threads);
        }
        if let Some(bytes) = self.memory_limit {
            session = session.memory_limit(bytes);
        }
        if let Some(cluster) = &self.cluster {
            session = session.cluster(cluster.clone());
        }
        let session = session.build()?;
        let input = ParquetInput::open(&self.input, session.context()).await?;
        if input.rows() == 0 {
            return exec_err!("there are no rows in '{}'", self.input);
        }
        if let Some(statements) = &self.init {
            session.run_script(statements).await?;
        }
        session.context().register_table("input", input.table()?)?;
        let query = session.sql(&self.query()).await?;

        if !input.dropped_metadata().is_empty() {
            let keys = input.dropped_metadata().join(", ");
            progress
                .warn(&format!("the files disagree on this metadata, so the output has none of it: {keys}"));
        }
        progress.start(input.rows());
        let runtime = session.context().runtime_env();
        let staging = Staging::new(&self.output, self.overwrite, &runtime).await?;
        let metadata = input.schema().metadata().clone();
        write_query(query, metadata, staging, self.settings, progress).await
    }
}

/// Writes the rows of a query as Parquet, keeping the order that its files have, and gives the output its
/// name. `metadata` becomes the key-value metadata of every file.
///
/// # Errors
/// The query fails or the output cannot be written; nothing is left behind then.
pub async fn write_query(
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
        let removed = attempts.remove().await;
        return match published {
            Ok(summary) => removed.map(|()| summary),
            Err(error) => Err(with_cleanup(error, removed)),
        };
    }
    let schema = Arc::new(Schema::new_with_metadata(plan.schema().fields().clone(), metadata));
    let shards = write_partitions(&plan, &schema, &context, &staging, settings, progress).await?;
    let (shards, empty) = split_empty(shards, Shard::rows);
    for shard in empty {
        std::fs::remove_file(&shard.path)?;
    }
    publish(shards, staging).await
}

/// Gives the output its name, as one file if it is one.
async fn publish(mut shards: Vec<Shard>, staging: Staging) -> Result<WriteSummary> {
    if staging.is_file() {
        shards = vec![concatenate(shards, &staging.shard_path(0)).await?];
    }
    staging.publish().await?;
    Ok(WriteSummary::of(&shards))
}

/// Plans a query so that its partitions, one after the other, have the rows in the order in which its
/// tables have them, unless the query itself changes it.
pub(crate) async fn plan_in_order(query: DataFrame) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
    let (mut state, query) = query.into_parts();
    // This would deal out the batches of a partition to all.
    state.config_mut().options_mut().optimizer.enable_round_robin_repartition = false;
    let plan = state.create_physical_plan(&query).await?;
    // Without this, partitions that are done take over files of others.
    let in_order = |plan: Arc<dyn ExecutionPlan>| plan.with_preserve_order(true).unwrap_or(plan);
    let plan = match as_cluster_exec(&plan) {
        Some(cluster) => Arc::new(cluster.with_plan(in_order(Arc::clone(cluster.plan())))),
        None => in_order(plan),
    };
    Ok((plan, state.task_ctx()))
}

/// A file that an executor has written for a partition.
struct WrittenFile {
    name: String,
    rows: u64,
    bytes: u64,
}

/// Has the executors of a cluster write the partitions, each into a file of its own.
async fn write_shards_on_cluster(
    cluster: &ClusterExec,
    metadata: HashMap<String, String>,
    context: &Arc<TaskContext>,
    attempts: &Attempts,
    settings: WriterSettings,
) -> Result<Vec<WrittenFile>> {
    let metadata = metadata.into_iter().collect();
    let sink = WriteShardsExec::new(Arc::clone(cluster.plan()), attempts.place(), settings, metadata);
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

/// Makes the files that the query has named the output: those of attempts that were given up stay behind.
async fn publish_written_files(
    attempts: &Attempts,
    files: Vec<WrittenFile>,
    staging: Staging,
) -> Result<WriteSummary> {
    let (files, _) = split_empty(files.into_iter().enumerate().collect(), |(_, file)| file.rows);
    let named: Vec<_> = files.iter().map(|(number, file)| (*number, file.name.clone())).collect();
    if staging.publish_attempts(attempts, &named).await? {
        let files = files.iter().map(|(_, file)| file);
        let (rows, bytes) = (files.clone().map(|file| file.rows).sum(), files.map(|file| file.bytes).sum());
        return Ok(WriteSummary { rows, bytes, files: named.len() });
    }
    let mut shards = Vec::new();
    for (number, name) in named {
        let to = staging.shard_path(number);
        attempts.take(&name, &to).await?;
        shards.push(Shard::open(to)?);
    }
    publish(shards, staging).await
}

/// Writes every partition into its shard, all at the same time.
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
    // What will be joined need not be on the disk before.
    let durable = !staging.is_file() || partitions == 1;
    for partition in 0..partitions {
        // All files are created here, so that a run given up later can remove them without racing.
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

async fn write_stream(
    mut stream: SendableRecordBatchStream,
    mut writer: ShardWriter,
    after_batch: impl Fn(),
) -> Result<Shard> {
    // Encoding and writing block this task's thread, as DataFusion's own operators do: the threads are
    // there to compute, and writes go to the page cache.
    while let Some(batch) = stream.next().await {
        writer.write(&batch?)?;
        after_batch();
    }
    writer.finish()
}

/// The rows that the plan's sources have given so far.
fn rows_read(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let children = plan.children();
    if children.is_empty() {
        plan.metrics().and_then(|metrics| metrics.output_rows()).unwrap_or(0) as u64
    } else {
        children.into_iter().map(rows_read).sum()
    }
}

/// The files to keep and the others: those without rows say nothing, but for the columns of the first where all
/// are empty.
fn split_empty<T>(files: Vec<T>, rows: impl Fn(&T) -> u64) -> (Vec<T>, Vec<T>) {
    let mut keep_one = files.iter().all(|file| rows(file) == 0);
    files.into_iter().partition(|file| rows(file) > 0 || std::mem::take(&mut keep_one))
}
