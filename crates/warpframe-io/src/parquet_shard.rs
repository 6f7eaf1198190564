//! Parquet shards: writing one, and concatenating several without decoding them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use parquet::arrow::ArrowWriter;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::SerializedFileWriter;

use super::file_error::file_error;
use super::write_behind::WriteBehind;

/// The size of the buffers that row groups are copied through, in bytes.
const BUFFER_BYTES: usize = 1024 * 1024;

/// The writer of a Parquet file. Its memory is reserved in the memory pool of the query.
pub struct ShardWriter {
    writer: ArrowWriter<WriteBehind>,
    path: PathBuf,
    reservation: MemoryReservation,
}

/// A complete Parquet file.
#[derive(Debug)]
pub struct Shard {
    /// The path of the file.
    pub path: PathBuf,
    /// The footer, with the page index if the file has one.
    pub metadata: ParquetMetaData,
    /// The size of the file in bytes.
    pub bytes: u64,
}

impl Shard {
    /// Opens an existing file.
    ///
    /// # Errors
    /// The file cannot be read or is not valid Parquet.
    pub fn open(path: PathBuf) -> Result<Self> {
        let unreadable = |error: &dyn std::fmt::Display| file_error("read", &path, error);
        let file = File::open(&path).map_err(|error| unreadable(&error))?;
        let bytes = file.metadata().map_err(|error| unreadable(&error))?.len();
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&file)
            .map_err(|error| unreadable(&error))?;
        Ok(Self { path, metadata, bytes })
    }

    /// Waits until the file is on the disk.
    ///
    /// # Errors
    /// The operating system reports an I/O error.
    pub fn sync(self) -> Result<Self> {
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(write_failed)?;
        Ok(self)
    }

    /// The number of rows, according to the footer.
    pub fn rows(&self) -> u64 {
        self.metadata.file_metadata().num_rows() as u64
    }
}

impl ShardWriter {
    /// Creates the file. If it is `durable`, it is on the disk when [`finish`](Self::finish) returns.
    ///
    /// # Errors
    /// The file cannot be created, or Parquet has no type for a column.
    pub fn create(
        path: PathBuf,
        schema: SchemaRef,
        properties: WriterProperties,
        durable: bool,
        pool: &Arc<dyn MemoryPool>,
    ) -> Result<Self> {
        let file = File::create(&path).map_err(|error| file_error("create", &path, error))?;
        let writer = ArrowWriter::try_new(WriteBehind::new(file, durable), schema, Some(properties))?;
        let reservation = MemoryConsumer::new("Parquet writer").register(pool);
        Ok(Self { writer, path, reservation })
    }

    /// Encodes a batch. If the memory pool has no room for a full row group, the row group is written early.
    ///
    /// # Errors
    /// The file cannot be written, or the memory pool has no room even after that.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(write_error)?;
        if self.reservation.try_resize(self.writer.memory_size()).is_err() {
            self.writer.flush().map_err(write_error)?;
            self.reservation.try_resize(self.writer.memory_size())?;
        }
        Ok(())
    }

    /// Writes the footer and closes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> Result<Shard> {
        let metadata = self.writer.finish().map_err(write_error)?;
        let file = self.writer.inner_mut();
        file.sync().map_err(write_failed)?;
        let bytes = file.bytes().map_err(write_failed)?;
        Ok(Shard { path: self.path, metadata, bytes })
    }
}

/// Concatenates shards of the same schema, in order, into one file at `path`, and removes them. Row groups are
/// copied without decoding them. The file is on the disk when this returns.
///
/// # Errors
/// There are no shards, or a file cannot be read, written or removed.
pub async fn concatenate_shards(mut shards: Vec<Shard>, path: &Path) -> Result<Shard> {
    if shards.len() == 1
        && let Some(only) = shards.pop()
    {
        let only = only.sync()?;
        std::fs::rename(&only.path, path).map_err(|error| file_error("create", path, error))?;
        return Ok(Shard { path: path.to_owned(), ..only });
    }
    let Some(first) = shards.first() else {
        return Err(file_error("write", path, "there is nothing to write"));
    };
    let file_metadata = first.metadata.file_metadata();
    let properties = WriterProperties::builder()
        .set_created_by(file_metadata.created_by().unwrap_or_default().to_owned())
        .set_key_value_metadata(file_metadata.key_value_metadata().cloned())
        .build();
    let schema = file_metadata.schema_descr().root_schema_ptr();

    let unfinished = path.with_extension("joining");
    let file = File::create(&unfinished).map_err(|error| file_error("create", &unfinished, error))?;
    let file = BufWriter::with_capacity(BUFFER_BYTES, WriteBehind::new(file, true));
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(write_error)?;
    for shard in shards {
        let source = File::open(&shard.path).map_err(|error| file_error("read", &shard.path, error))?;
        let source = BufferedChunkReader(source);
        for row_group in 0..shard.metadata.num_row_groups() {
            copy_row_group(&source, &shard.metadata, row_group, &mut writer).map_err(write_error)?;
            // Copying blocks; a cancelled run stops here.
            tokio::task::yield_now().await;
        }
        std::fs::remove_file(&shard.path).map_err(|error| file_error("remove", &shard.path, error))?;
    }
    let metadata = writer.finish().map_err(write_error)?;
    let file = writer.inner_mut();
    file.flush().and_then(|()| file.get_mut().sync()).map_err(write_failed)?;
    let bytes = file.get_ref().bytes().map_err(write_failed)?;
    std::fs::rename(&unfinished, path).map_err(|error| file_error("create", path, error))?;
    Ok(Shard { path: path.to_owned(), metadata, bytes })
}

/// A chunk reader with a large buffer. The one that `parquet` implements for [`File`] has a buffer of 8 KiB.
struct BufferedChunkReader(File);

impl Length for BufferedChunkReader {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for BufferedChunkReader {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(BufReader::with_capacity(BUFFER_BYTES, file))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.0.get_bytes(start, length)
    }
}

/// Copies the encoded pages and indexes of a row group.
fn copy_row_group<W: Write + Send>(
    source: &BufferedChunkReader,
    metadata: &ParquetMetaData,
    position: usize,
    writer: &mut SerializedFileWriter<W>,
) -> Result<(), ParquetError> {
    let row_group = metadata.row_group(position);
    let mut copy = writer.next_row_group()?;
    for (column, chunk) in row_group.columns().iter().enumerate() {
        let column_index = metadata.column_index().and_then(|index| index.get(position)?.get(column));
        let offset_index = metadata.offset_index().and_then(|index| index.get(position)?.get(column));
        let close = ColumnCloseResult {
            bytes_written: chunk.compressed_size() as u64,
            rows_written: row_group.num_rows() as u64,
            metadata: chunk.clone(),
            bloom_filter: None,
            column_index: column_index.cloned(),
            offset_index: offset_index.cloned(),
        };
        copy.append_column(source, close)?;
    }
    copy.close()?;
    Ok(())
}

fn write_error(error: ParquetError) -> DataFusionError {
    // Only the message of the I/O error is useful to the user; the Parquet error around it repeats it as text.
    match error {
        ParquetError::External(cause) if cause.is::<std::io::Error>() => write_failed(cause),
        other => other.into(),
    }
}

fn write_failed(cause: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("cannot write the output: {cause}"))
}
