//! Files of an output: writing one, and concatenating several.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use super::file_error::file_error;
use super::file_type::DataFormat;
use super::output_settings::OutputSettings;
use super::row_writer::{RowWriter, write_failed};
use super::write_behind::WriteBehind;

/// The writer of a file. The memory of rows that it keeps is reserved in the memory pool of the query.
pub struct ShardWriter {
    writer: RowWriter<WriteBehind>,
    path: PathBuf,
    rows: u64,
    reservation: MemoryReservation,
}

/// A complete file.
#[derive(Debug)]
pub struct Shard {
    /// The path of the file.
    pub path: PathBuf,
    /// The number of its rows.
    pub rows: u64,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The footer of a Parquet file, with the page index if the file has one.
    pub footer: Option<ParquetMetaData>,
}

impl Shard {
    /// Opens an existing file, in which there are so many rows.
    ///
    /// # Errors
    /// The file cannot be read or is not valid Parquet.
    pub fn open(path: PathBuf, rows: u64, format: DataFormat) -> Result<Self> {
        let unreadable = |error: &dyn std::fmt::Display| file_error("read", &path, error);
        let file = File::open(&path).map_err(|error| unreadable(&error))?;
        let bytes = file.metadata().map_err(|error| unreadable(&error))?.len();
        let footer = match format {
            DataFormat::Parquet => {
                let footer = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
                Some(footer.parse_and_finish(&file).map_err(|error| unreadable(&error))?)
            }
            _ => None,
        };
        Ok(Self { path, rows, bytes, footer })
    }

    /// Waits until the file is on the disk.
    ///
    /// # Errors
    /// The operating system reports an I/O error.
    pub fn sync(self) -> Result<Self> {
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(write_failed)?;
        Ok(self)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// The file system refuses it.
    pub(super) fn remove(self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|error| file_error("remove", &self.path, error))
    }

    /// Renames the file.
    ///
    /// # Errors
    /// The file system refuses it.
    pub(super) fn rename(self, path: &Path) -> Result<Self> {
        std::fs::rename(&self.path, path).map_err(|error| file_error("create", path, error))?;
        Ok(Self { path: path.to_owned(), ..self })
    }
}

impl ShardWriter {
    /// Creates the file. If it is `durable`, it is on the disk when [`finish`](Self::finish) returns.
    ///
    /// # Errors
    /// The file cannot be created, or the format has no type for a column.
    pub fn create(
        path: PathBuf,
        schema: &SchemaRef,
        settings: &OutputSettings,
        durable: bool,
        pool: &Arc<dyn MemoryPool>,
    ) -> Result<Self> {
        let file = File::create(&path).map_err(|error| file_error("create", &path, error))?;
        let writer = RowWriter::begin(settings, WriteBehind::new(file, durable), schema)?;
        let reservation = MemoryConsumer::new("file writer").register(pool);
        Ok(Self { writer, path, rows: 0, reservation })
    }

    /// Encodes a batch. If the memory pool has no room for a full row group of Parquet, the row group is written early.
    ///
    /// # Errors
    /// The file cannot be written, or the memory pool has no room even after that.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch)?;
        self.rows += batch.num_rows() as u64;
        self.reserve()
    }

    /// Reserves the memory of the rows that are not written yet, or else writes them.
    ///
    /// # Errors
    /// The file cannot be written, or the memory pool has no room even after that.
    pub(super) fn reserve(&mut self) -> Result<()> {
        if self.reservation.try_resize(self.writer.memory_size()).is_err() {
            self.writer.end_row_group()?;
            self.reservation.try_resize(self.writer.memory_size())?;
        }
        Ok(())
    }

    /// Writes the rows that are in memory, and gives their memory back.
    ///
    /// # Errors
    /// The file cannot be written, or the memory pool has no room for what the writer still needs.
    pub(super) fn release(&mut self) -> Result<()> {
        self.writer.end_row_group()?;
        self.reservation.try_resize(self.writer.memory_size())
    }

    /// Writes the end of the file and closes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> Result<Shard> {
        let footer = self.writer.finish()?;
        let Some(file) = self.writer.finished_mut() else {
            return internal_err!("a writer has not ended its file");
        };
        file.sync().map_err(write_failed)?;
        let bytes = file.bytes().map_err(write_failed)?;
        Ok(Shard { path: self.path, rows: self.rows, bytes, footer })
    }
}
