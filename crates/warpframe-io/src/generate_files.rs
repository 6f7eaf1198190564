//! Writes generated rows as Parquet files. The bytes do not depend on the number of threads.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};
use futures::{StreamExt, TryStreamExt, stream};

use super::commit::{Staging, is_file_name};
use super::concatenate::concatenate_shards;
use super::object_stores;
use super::progress::Progress;
use super::shard::{Shard, ShardWriter};
use super::write_summary::WriteSummary;
use super::writer_settings::WriterSettings;
use warpframe_datafusion::rows::{MAX_ROWS, RowGenerator};

/// Rows that are generated and encoded at a time.
const BATCH_ROWS: u64 = 64 * 1024;

/// Writes generated rows as Parquet.
#[derive(Debug, Clone)]
pub struct GenerateFiles {
    /// The generator of the rows.
    pub generator: RowGenerator,
    /// The number of rows, at least one.
    pub rows: u64,
    /// The number of files that the rows are divided into, in order.
    pub files: NonZeroUsize,
    /// A path or URL: one file if the name ends in `.parquet`, otherwise a folder.
    pub output: PathBuf,
    /// Whether an existing output may be replaced.
    pub overwrite: bool,
    /// The settings of the Parquet writer.
    pub settings: WriterSettings,
    /// The number of files, or parts of files, that are written concurrently.
    pub threads: NonZeroUsize,
}

impl GenerateFiles {
    /// Writes the files. If it fails, or the future is dropped before it completes, nothing is written.
    ///
    /// # Errors
    /// The number of rows is zero, greater than [`MAX_ROWS`] or less than the number of files; several files
    /// are requested but the output is one file; or the output cannot be written.
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

        // Parts end at row group boundaries, so the concatenated file does not depend on the number of parts.
        let ranges: Vec<Vec<Range<u64>>> = (0..files)
            .map(|file| self.parts(share(self.rows, files, file)..share(self.rows, files, file + 1)))
            .collect();
        let part_numbers = (0..ranges.iter().map(Vec::len).sum::<usize>()).map(|part| part + files as usize);
        // Parts that will be concatenated need not be synced.
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
            let path = staging.shard_path(file);
            let (settings, schema) = (self.settings.into(), RowGenerator::schema());
            shards.push(concatenate_shards(of_file, &settings, &path, &schema, &settings).await?);
        }
        staging.publish().await?;
        Ok(WriteSummary::from_shards(&shards))
    }

    /// Splits the rows of a file into at most one part per thread, each of whole row groups.
    fn parts(&self, rows: Range<u64>) -> Vec<Range<u64>> {
        let row_group = self.settings.row_group_rows as u64;
        let row_groups = (rows.end - rows.start).div_ceil(row_group);
        let part = row_groups.div_ceil(self.threads.get() as u64) * row_group;
        let parts = (rows.end - rows.start).div_ceil(part);
        (0..parts)
            .map(|index| rows.start + index * part..(rows.start + (index + 1) * part).min(rows.end))
            .collect()
    }

    /// Writes a part in its own task. A part that is `durable` is a whole file; others will be concatenated.
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
            // The file is created before the task is spawned, so that removing the folder of a cancelled run
            // does not race with it.
            let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
            let mut writer = ShardWriter::create(path, &schema, &settings.into(), durable, &pool)?;
            let task = SpawnedTask::spawn(async move {
                let mut start = rows.start;
                while start < rows.end {
                    let end = (start + BATCH_ROWS).min(rows.end);
                    writer.write(&generator.batch(start..end, &columns)?)?;
                    progress.position(done.fetch_add(end - start, Ordering::Relaxed) + end - start);
                    start = end;
                    // The loop has no other await point at which it can be cancelled.
                    tokio::task::yield_now().await;
                }
                writer.finish()
            });
            task.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error))).flatten()
        }
    }
}

/// The first row of the `index`-th of `count` nearly equal shares of `rows`.
fn share(rows: u64, count: u64, index: u64) -> u64 {
    (u128::from(rows) * u128::from(index) / u128::from(count)) as u64
}
