//! One Parquet file being written, and whole files being joined without decoding them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use parquet::arrow::ArrowWriter;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::SerializedFileWriter;

use super::local_files::file_error;
use super::write_behind::WriteBehind;

/// Bytes that are copied at a time.
const BUFFER_BYTES: usize = 1024 * 1024;

/// A Parquet file being written. Its memory is reserved in the query's pool.
pub struct ShardWriter {
    writer: ArrowWriter<WriteBehind>,
    path: PathBuf,
    reservation: MemoryReservation,
}

/// A Parquet file that is whole.
#[derive(Debug)]
pub struct Shard {
    pub path: PathBuf,
    pub metadata: ParquetMetaData,
    pub bytes: u64,
}

impl Shard {
    /// A file that somebody else has written.
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
    pub fn sync(self) -> Result<Self> {
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(write_failed)?;
        Ok(self)
    }

    pub fn rows(&self) -> u64 {
        self.metadata.file_metadata().num_rows() as u64
    }
}

impl ShardWriter {
    /// Creates the file. One that durable is on the disk when it is finished; others will be joined.
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

    /// Encodes a batch. Where the pool has no room for a whole row group, the group ends early.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(write_error)?;
        if self.reservation.try_resize(self.writer.memory_size()).is_err() {
            self.writer.flush().map_err(write_error)?;
            self.reservation.try_resize(self.writer.memory_size())?;
        }
        Ok(())
    }

    /// Writes the footer.
    pub fn finish(mut self) -> Result<Shard> {
        let metadata = self.writer.finish().map_err(write_error)?;
        let file = self.writer.inner_mut();
        file.sync().map_err(write_failed)?;
        let bytes = file.bytes().map_err(write_failed)?;
        Ok(Shard { path: self.path, metadata, bytes })
    }
}

/// Joins shards of one schema, in order, into one file at `path`, which is on the disk then: their row groups
/// are copied as they are. The shards are removed.
pub async fn concatenate(mut shards: Vec<Shard>, path: &Path) -> Result<Shard> {
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

    let joined = path.with_extension("joining");
    let file = File::create(&joined).map_err(|error| file_error("create", &joined, error))?;
    let file = BufWriter::with_capacity(BUFFER_BYTES, WriteBehind::new(file, true));
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(write_error)?;
    for shard in shards {
        let source = File::open(&shard.path).map_err(|error| file_error("read", &shard.path, error))?;
        let source = BufferedChunkReader(source);
        for row_group in 0..shard.metadata.num_row_groups() {
            copy_row_group(&source, &shard.metadata, row_group, &mut writer).map_err(write_error)?;
            // Copying blocks; a run that was given up gets its chance here.
            tokio::task::yield_now().await;
        }
        std::fs::remove_file(&shard.path).map_err(|error| file_error("remove", &shard.path, error))?;
    }
    let metadata = writer.finish().map_err(write_error)?;
    let file = writer.inner_mut();
    file.flush().and_then(|()| file.get_mut().sync()).map_err(write_failed)?;
    let bytes = file.get_ref().bytes().map_err(write_failed)?;
    std::fs::rename(&joined, path).map_err(|error| file_error("create", path, error))?;
    Ok(Shard { path: path.to_owned(), metadata, bytes })
}

/// A file that is read in large pieces: the library's own way is one of many small ones.
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

fn write_error(error: ParquetError) -> datafusion::common::DataFusionError {
    // The I/O error inside says what the disk refused; the rest is the library's own story.
    match error {
        ParquetError::External(cause) if cause.is::<std::io::Error>() => write_failed(cause),
        other => other.into(),
    }
}

fn write_failed(cause: impl std::fmt::Display) -> datafusion::common::DataFusionError {
    datafusion::common::DataFusionError::Execution(format!("cannot write the output: {cause}"))
}
