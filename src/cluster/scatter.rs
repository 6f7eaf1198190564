//! Tables in memory on their way to a cluster: a small one travels inside the plan, a large one as files that
//! are written once, as they lie in memory, and that executors map into theirs.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
use tempfile::TempDir;

use super::client::ClusterAddress;
use super::table::ScanTableExec;

/// The largest table that travels inside a plan.
const INLINE_BYTES: usize = 4 * 1024 * 1024;

/// The tables in memory that a session has written for its cluster. Their files are removed with it.
#[derive(Debug, Default)]
pub(crate) struct Scattered {
    tables: Mutex<Vec<Table>>,
}

#[derive(Debug, Clone)]
struct Table {
    /// The columns as they were written; kept, so that no other table can lie at the same place in memory.
    partitions: Arc<Vec<Vec<RecordBatch>>>,
    projection: Option<Vec<usize>>,
    /// One for each partition.
    files: Arc<[PathBuf]>,
    _folder: Arc<TempDir>,
}

impl Scattered {
    /// The plan with files in the place of large tables in memory.
    pub async fn scatter(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        cluster: &ClusterAddress,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut large = Vec::new();
        plan.apply(|node| {
            if let Some(memory) = memory_source(node) {
                let batches = memory.partitions().iter().flatten();
                let bytes: usize = batches.map(RecordBatch::get_array_memory_size).sum();
                if bytes > INLINE_BYTES {
                    large.push((Arc::clone(node), bytes));
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        let mut replaced = Vec::new();
        for (node, bytes) in large {
            if !cluster.is_loopback() {
                return exec_err!(
                    "a table in memory has {} MiB, and a query can take at most {} MiB along to {cluster}: write it as Parquet where all hosts can read it, and query that",
                    bytes >> 20,
                    INLINE_BYTES >> 20
                );
            }
            let scan = self.files(&node, state).await?;
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

    /// The scan of a table's files, which are written if they aren't there.
    async fn files(
        &self,
        node: &Arc<dyn ExecutionPlan>,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(memory) = memory_source(node) else { return Ok(Arc::clone(node)) };
        let known = self.tables.lock().iter().find(|table| table.holds(memory)).cloned();
        let table = match known {
            Some(table) => table,
            None => {
                let table = write(memory, state).await?;
                self.tables.lock().push(table.clone());
                table
            }
        };
        Ok(Arc::new(ScanTableExec::of(&table.files, node.schema(), memory.fetch())?))
    }
}

impl Table {
    fn holds(&self, memory: &MemorySourceConfig) -> bool {
        let same = |one: &RecordBatch, other: &RecordBatch| {
            let columns = one.columns().iter().zip(other.columns());
            one.num_rows() == other.num_rows()
                && one.num_columns() == other.num_columns()
                && columns.into_iter().all(|(one, other)| one.to_data().ptr_eq(&other.to_data()))
        };
        let (ours, theirs) = (&self.partitions, memory.partitions());
        self.projection == *memory.projection()
            && ours.len() == theirs.len()
            && ours.iter().zip(theirs).all(|(ours, theirs)| {
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
            })
    }
}

pub(super) fn memory_source(node: &Arc<dyn ExecutionPlan>) -> Option<&MemorySourceConfig> {
    let source: &dyn std::any::Any = node.downcast_ref::<DataSourceExec>()?.data_source().as_ref();
    source.downcast_ref()
}

/// Writes a table, one file for each of its partitions: all of their rows, whatever a query's limit.
async fn write(memory: &MemorySourceConfig, state: &SessionState) -> Result<Table> {
    let folder = tempfile::Builder::new().prefix("warpframe-tables-").tempdir().map_err(failed)?;
    let node = DataSourceExec::from_data_source(memory.clone().with_limit(None));
    let context = state.task_ctx();
    let mut files = Vec::new();
    let mut written = Vec::new();
    for partition in 0..memory.partitions().len() {
        let path = folder.path().join(format!("part-{partition:05}.arrow"));
        let rows = node.execute(partition, Arc::clone(&context))?;
        let (file, path_of_task) = (path.clone(), path);
        written.push(SpawnedTask::spawn(async move { write_partition(rows, &path_of_task).await }));
        files.push(file);
    }
    for task in written {
        task.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
    }
    Ok(Table {
        partitions: Arc::new(memory.partitions().to_vec()),
        projection: memory.projection().clone(),
        files: files.into(),
        _folder: Arc::new(folder),
    })
}

async fn write_partition(mut rows: SendableRecordBatchStream, path: &Path) -> Result<()> {
    let file = BufWriter::new(File::create_new(path).map_err(failed)?);
    let mut writer = StreamWriter::try_new(file, &rows.schema()).map_err(failed)?;
    while let Some(batch) = rows.next().await {
        writer.write(&batch?).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("cannot write a table in memory for the cluster: {error}"))
}
