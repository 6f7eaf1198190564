//! Generated rows as Parquet files, the same bytes whatever the number of threads.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};
use futures::{StreamExt, TryStreamExt, stream};

use super::object_stores;
use super::parquet_shard::{Shard, ShardWriter, concatenate};
use super::progress::Progress;
use super::staging::{Staging, is_file_name};
use super::write_summary::WriteSummary;
use super::writer_settings::WriterSettings;
use crate::rows::{MAX_ROWS, RowGenerator};

/// Rows made and encoded at a time.
const BATCH_ROWS: u64 = 64 * 1024;

/// Writes generated rows as Parquet.
#[derive(Debug, Clone)]
pub struct GenerateFiles {
    /// What the rows hold.
    pub generator: RowGenerator,
    /// How many rows, at least one.
    pub rows: u64,
    /// How many files the rows are spread over, in order.
    pub files: NonZeroUsize,
    /// One file where the name ends in `.parquet`, else a folder.
    pub output: PathBuf,
    /// Whether an existing output is replaced.
    pub overwrite: bool,
    /// How the output is written.
    pub settings: WriterSettings,
    /// Files or parts of files being written at the same time.
    pub threads: NonZeroUsize,
}

impl GenerateFiles {
    /// Writes the files. Dropped before it is ready, it leaves nothing behind.
    ///
    /// # Errors
    /// There are no rows or too many to write, or the output cannot be written; nothing is left behind
    /// then.
    pub async fn run(&self, progress: Arc<dyn Progress>) -> Result<WriteSummary> {
        let files = self.files.get() as u64;
        if self.rows == 0 || self.rows > MAX_ROWS {
            return exec_err!("cannot write {} rows: the number is from 1 to {MAX_ROWS}", self.rows);
        }
        if is_file_name(&self.output) && files > 1 {
            return exec_err!("{files} files do not fit into '{}': name a folder", self.output.display());
        }
        if files > self.rows {
            return exec_err!("{} rows do not fill {files} files", self.rows);
        }
        progress.start(self.rows);
        let runtime = object_stores::runtime_env_builder().build()?;
        let staging = Staging::new(&self.output, self.overwrite, &runtime).await?;
        let done = Arc::new(AtomicU64::new(0));

        // Parts end where row groups end, so the joined file is the same however many parts there are.
        let ranges: Vec<Vec<Range<u64>>> = (0..files)
            .map(|file| self.parts(share(self.rows, files, file)..share(self.rows, files, file + 1)))
            .collect();
        let part_numbers = (0..ranges.iter().map(Vec::len).sum::<usize>()).map(|part| part + files as usize);
        // What will be joined need not be on the disk before.
        let parts = ranges.iter().flat_map(|parts| parts.iter().map(|part| (part.clone(), parts.len() == 1)));
        let parts: Vec<Shard> = stream::iter(parts.zip(part_numbers))
            .map(|(part, number)| self.write_part(part, &staging, number, &done, &progress))
            .buffered(self.threads.get())
            .try_collect()
            .await?;

        let mut parts = parts.into_iter();
        let mut shards = Vec::with_capacity(ranges.len());
        for (file, ranges) in ranges.iter().enumerate() {
            let of_file = parts.by_ref().take(ranges.len()).collect();
            shards.push(concatenate(of_file, &staging.shard_path(file)).await?);
        }
        staging.publish().await?;
        Ok(WriteSummary::of(&shards))
    }

    /// Cuts the rows of a file into about as many parts as there are threads.
    fn parts(&self, rows: Range<u64>) -> Vec<Range<u64>> {
        let row_group = self.settings.row_group_rows as u64;
        let row_groups = (rows.end - rows.start).div_ceil(row_group);
        let part = row_groups.div_ceil(self.threads.get() as u64) * row_group;
        let parts = (rows.end - rows.start).div_ceil(part);
        (0..parts)
            .map(|index| rows.start + index * part..(rows.start + (index + 1) * part).min(rows.end))
            .collect()
    }

    /// Writes a part, which durable or will be joined, in a task of its own.
    fn write_part(
        &self,
        (rows, durable): (Range<u64>, bool),
        staging: &Staging,
        number: usize,
        done: &Arc<AtomicU64>,
        progress: &Arc<dyn Progress>,
    ) -> impl Future<Output = Result<Shard>> + use<> {
        let (generator, settings) = (self.generator, self.settings);
        let (done, progress) = (Arc::clone(done), Arc::clone(progress));
        let path = staging.shard_path(number);
        async move {
            let schema = RowGenerator::schema();
            let columns: Vec<_> = (0..schema.fields().len()).collect();
            let properties = settings.properties(&schema)?;
            // The file is created before the task starts: a run given up removes it without racing.
            let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
            let mut writer = ShardWriter::create(path, schema, properties, durable, &pool)?;
            let task = SpawnedTask::spawn(async move {
                let mut start = rows.start;
                while start < rows.end {
                    let end = (start + BATCH_ROWS).min(rows.end);
                    writer.write(&generator.batch(start..end, &columns)?)?;
                    progress.position(done.fetch_add(end - start, Ordering::Relaxed) + end - start);
                    start = end;
                    // The loop never waits; a run that was given up ends here.
                    tokio::task::yield_now().await;
                }
                writer.finish()
            });
            task.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error))).flatten()
        }
    }
}

/// Where the `index`-th of `count` nearly equal shares of `rows` begins.
fn share(rows: u64, count: u64, index: u64) -> u64 {
    (u128::from(rows) * u128::from(index) / u128::from(count)) as u64
}
