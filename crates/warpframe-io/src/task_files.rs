//! The files that one partition of a query becomes: one, or some in each partition folder.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryPool;

use super::output_settings::OutputSettings;
use super::partition_folders::{FolderSplitter, partition_columns};
use super::shard::{Shard, ShardWriter};

/// The files that are open at the same time in all partitions of a query together. Many systems allow a process 1024.
const MAX_OPEN_FILES: usize = 512;

/// Makes the path of a new file, in a folder that exists. The arguments are the partition folder relative to the output, empty if
/// there is none, and the number of files that the partition of the query has in that folder already.
pub type NewPath = dyn FnMut(&str, usize) -> Result<PathBuf> + Send;

/// A complete file.
#[derive(Debug)]
pub struct TaskFile {
    /// The partition folder of the file, relative to the output; empty if there is none.
    pub folder: String,
    /// The file.
    pub shard: Shard,
}

/// Writes the rows of one partition of a query. Without partition folders this is one file, also if there are no rows. With them,
/// a folder has a file for its rows, or several if too many folders take turns: the least recently written file is closed then.
pub struct TaskFiles {
    settings: OutputSettings,
    file_schema: SchemaRef,
    durable: bool,
    pool: Arc<dyn MemoryPool>,
    new_path: Box<NewPath>,
    splitter: Option<FolderSplitter>,
    /// By folder.
    open: HashMap<usize, OpenFile>,
    max_open: usize,
    /// The number of closed files of each folder that has some.
    closed: HashMap<usize, usize>,
    writes: u64,
    files: Vec<TaskFile>,
}

struct OpenFile {
    writer: ShardWriter,
    last_write: u64,
}

impl TaskFiles {
    /// Prepares to write one of `partitions` partitions, whose rows have this schema. Its metadata becomes that of every file. If
    /// the files are `durable`, they are on the disk in the end. Without partition folders the file is created.
    ///
    /// # Errors
    /// A partition column is not a column, or the file cannot be created.
    pub fn create(
        settings: OutputSettings,
        schema: &SchemaRef,
        durable: bool,
        partitions: usize,
        pool: &Arc<dyn MemoryPool>,
        new_path: Box<NewPath>,
    ) -> Result<Self> {
        let splitter = match settings.partition_by.is_empty() {
            true => None,
            false => Some(FolderSplitter::new(schema, partition_columns(schema, &settings.partition_by)?)?),
        };
        let file_schema = match &splitter {
            Some(splitter) => splitter.file_schema(schema)?,
            None => Arc::clone(schema),
        };
        let mut files = Self {
            settings,
            file_schema,
            durable,
            pool: Arc::clone(pool),
            new_path,
            splitter,
            open: HashMap::new(),
            max_open: (MAX_OPEN_FILES / partitions.max(1)).max(2),
            closed: HashMap::new(),
            writes: 0,
            files: Vec::new(),
        };
        if files.splitter.is_none() {
            files.open(0)?;
        }
        Ok(files)
    }

    /// Writes the rows of a batch.
    ///
    /// # Errors
    /// A partition column is NULL, a file cannot be written, or the memory pool has no room.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.splitter {
            None => self.write_to(0, batch),
            Some(splitter) => {
                for (folder, rows) in splitter.split(batch)? {
                    self.write_to(folder, &rows)?;
                }
                Ok(())
            }
        }
    }

    /// Ends all files, and returns them: those of a folder in the order of their rows.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish(mut self) -> Result<Vec<TaskFile>> {
        let mut open: Vec<_> = self.open.keys().copied().collect();
        open.sort_unstable();
        for folder in open {
            self.close(folder)?;
        }
        Ok(self.files)
    }

    fn write_to(&mut self, folder: usize, batch: &RecordBatch) -> Result<()> {
        if !self.open.contains_key(&folder) {
            self.open(folder)?;
        }
        self.writes += 1;
        let Some(file) = self.open.get_mut(&folder) else { return Ok(()) };
        file.last_write = self.writes;
        match file.writer.write(batch) {
            Err(error) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => {}
            written => return written,
        }
        // The other files keep rows in memory, too.
        for (other, file) in &mut self.open {
            if *other != folder {
                file.writer.release()?;
            }
        }
        self.open.get_mut(&folder).map_or(Ok(()), |file| file.writer.reserve())
    }

    fn open(&mut self, folder: usize) -> Result<()> {
        let oldest = self.open.iter().min_by_key(|(_, file)| file.last_write).map(|(folder, _)| *folder);
        if self.open.len() >= self.max_open
            && let Some(oldest) = oldest
        {
            self.close(oldest)?;
        }
        let number = self.closed.get(&folder).copied().unwrap_or(0);
        let path =
            (self.new_path)(self.splitter.as_ref().map_or("", |splitter| splitter.name(folder)), number)?;
        let writer = ShardWriter::create(path, &self.file_schema, &self.settings, self.durable, &self.pool)?;
        self.open.insert(folder, OpenFile { writer, last_write: self.writes });
        Ok(())
    }

    fn close(&mut self, folder: usize) -> Result<()> {
        if let Some(file) = self.open.remove(&folder) {
            let name = self.splitter.as_ref().map_or("", |splitter| splitter.name(folder)).to_owned();
            self.files.push(TaskFile { folder: name, shard: file.writer.finish()? });
            *self.closed.entry(folder).or_default() += 1;
        }
        Ok(())
    }
}
