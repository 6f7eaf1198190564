//! Staging of in-memory tables for a cluster on this machine: a large table is written once to Arrow IPC files, which the
//! executors map into memory. A small table is sent inside the plan.

use std::path::{Path, PathBuf};
use std::ptr::addr_eq;
use std::sync::{Arc, Weak};

use arrow::array::{Array, RecordBatch};
use arrow::ipc::writer::StreamWriter;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use parking_lot::Mutex;

use super::address::ClusterAddress;
use super::checksums::ChecksumWriter;
use super::ipc_scan_exec::IpcScanExec;
use super::memory_source::memory_source;
use super::staged_files::StagedFiles;
use warpframe_io::private_folder_in;

/// The largest size of a table that is sent inside a plan, in bytes.
const MAX_INLINE_BYTES: usize = 4 * 1024 * 1024;

/// The staged tables of a session. The files of a table are removed when the table has been dropped and no plan reads them.
#[derive(Debug)]
pub(crate) struct MemTableStaging {
    /// The folder in which each table has a folder of its own.
    parent: PathBuf,
    tables: Mutex<Vec<StagedTable>>,
}

#[derive(Debug)]
struct StagedTable {
    /// The columns of every batch, by partition and batch, to recognize the table. Weak references keep the addresses
    /// from being reused, not the data.
    partitions: Vec<Vec<Vec<Weak<dyn Array>>>>,
    projection: Option<Vec<usize>>,
    files: Arc<StagedFiles>,
}

impl MemTableStaging {
    /// Stages tables in folders in `parent`, or in the temporary folder.
    pub fn new(parent: Option<PathBuf>) -> Self {
        Self { parent: parent.unwrap_or_else(std::env::temp_dir), tables: Mutex::default() }
    }

    /// Replaces the scans of large in-memory tables in a plan by scans of their staged files.
    ///
    /// # Errors
    /// A large table is used on a cluster that is not on this machine, or the files cannot be written.
    pub async fn stage(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        cluster: &ClusterAddress,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.tables.lock().retain(|table| !table.is_dropped());
        let mut large = Vec::new();
        plan.apply(|node| {
            if let Some(memory) = memory_source(node) {
                let batches = memory.partitions().iter().flatten();
                let bytes: usize = batches.map(RecordBatch::get_array_memory_size).sum();
                if bytes > MAX_INLINE_BYTES {
                    large.push((Arc::clone(node), bytes));
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let mut replaced = Vec::new();
        for (node, bytes) in large {
            if !cluster.is_loopback() {
                return exec_err!(
                    "a table in memory has {} MiB, and at most {} MiB can be sent to {cluster}: write it as Parquet where all hosts can read it, and query that",
                    bytes >> 20,
                    MAX_INLINE_BYTES >> 20
                );
            }
            let scan = self.stage_table(&node, state).await?;
            replaced.push((node, scan));
        }
        let plan = plan.transform(|node| {
            let found = replaced.iter().find(|(old, _)| Arc::ptr_eq(old, &node));
            Ok(match found {
                Some((_, scan)) => Transformed::yes(Arc::clone(scan)),
                None => Transformed::no(node),
            })
        })?;
        Ok(plan.data)
    }

    /// The scan of a table's files, which are written unless the table is already staged.
    async fn stage_table(
        &self,
        node: &Arc<dyn ExecutionPlan>,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(memory) = memory_source(node) else { return Ok(Arc::clone(node)) };
        let staged = |tables: &[StagedTable]| {
            tables.iter().find(|table| table.matches(memory)).map(|table| Arc::clone(&table.files))
        };
        let found = staged(&self.tables.lock());
        let files = match found {
            Some(files) => files,
            None => {
                let files = Arc::new(write_table(memory, &self.parent, state).await?);
                self.tables.lock().push(StagedTable::new(memory, Arc::clone(&files)));
                files
            }
        };
        Ok(Arc::new(IpcScanExec::from_staged_files(files, node.schema(), memory.fetch())?))
    }
}

impl StagedTable {
    fn new(memory: &MemorySourceConfig, files: Arc<StagedFiles>) -> Self {
        let columns = |batch: &RecordBatch| batch.columns().iter().map(Arc::downgrade).collect();
        let partitions = memory.partitions().iter().map(|batches| batches.iter().map(columns).collect());
        Self { partitions: partitions.collect(), projection: memory.projection().clone(), files }
    }

    /// Whether a column of the table has been freed, so that no query can use the table again.
    fn is_dropped(&self) -> bool {
        self.partitions.iter().flatten().flatten().any(|column| column.strong_count() == 0)
    }

    /// Whether the table consists of the same arrays in memory, with the same projection.
    fn matches(&self, memory: &MemorySourceConfig) -> bool {
        let same = |ours: &Vec<Weak<dyn Array>>, batch: &RecordBatch| {
            ours.len() == batch.num_columns()
                && ours
                    .iter()
                    .zip(batch.columns())
                    .all(|(one, other)| addr_eq(one.as_ptr(), Arc::as_ptr(other)))
        };
        let (ours, theirs) = (&self.partitions, memory.partitions());
        self.projection == *memory.projection()
            && ours.len() == theirs.len()
            && ours.iter().zip(theirs).all(|(ours, theirs)| {
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
            })
    }
}

/// Writes all rows of a table, one file for each of its partitions. The limit of the query is left out, because later
/// queries read the same files.
async fn write_table(
    memory: &MemorySourceConfig,
    parent: &Path,
    state: &SessionState,
) -> Result<StagedFiles> {
    let folder = private_folder_in("warpframe-tables-", parent).map_err(failed)?;
    let folder = Arc::new(folder);
    let node = DataSourceExec::from_data_source(memory.clone().with_limit(None));
    let context = state.task_ctx();
    let (mut paths, mut tasks) = (Vec::new(), Vec::new());
    for partition in 0..memory.partitions().len() {
        let path = folder.path().join(format!("part-{partition:05}.arrow"));
        paths.push(path.clone());
        let rows = node.execute(partition, Arc::clone(&context))?;
        let folder = Arc::clone(&folder);
        tasks.push(SpawnedTask::spawn(async move {
            let written = write_partition(rows, &path).await;
            // Keeps the folder until the last write, also if the query is cancelled.
            drop(folder);
            written
        }));
    }
    for task in tasks {
        task.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
    }
    Ok(StagedFiles { paths, _folder: folder })
}

async fn write_partition(mut rows: SendableRecordBatchStream, path: &Path) -> Result<()> {
    let file = ChecksumWriter::create_new(path).map_err(failed)?;
    let mut writer = StreamWriter::try_new(file, &rows.schema()).map_err(failed)?;
    while let Some(batch) = rows.next().await {
        writer.write(&batch?).map_err(failed)?;
    }
    let file = writer.into_inner().map_err(failed)?;
    file.finish(&path.to_string_lossy()).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("cannot write a table in memory to files for the cluster: {error}"))
}
