//! Concatenates Parquet files without decoding them.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::{Result, internal_datafusion_err};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::SerializedFileWriter;

use super::concatenate::BUFFER_BYTES;
use super::file_error::file_error;
use super::row_writer::{parquet_error, write_failed};
use super::shard::Shard;
use super::write_behind::WriteBehind;

/// Copies the row groups of files of the same schema, in order, and removes these. Returns the footer and the size of the new file in bytes.
///
/// # Errors
/// There are no files, or one cannot be read, written or removed.
pub(super) async fn concatenate_parquet(
    shards: Vec<Shard>,
    file: WriteBehind,
) -> Result<(ParquetMetaData, u64)> {
    let not_parquet = || internal_datafusion_err!("the files to concatenate are not Parquet");
    let first = shards.first().and_then(|shard| shard.footer.as_ref()).ok_or_else(not_parquet)?;
    let file_metadata = first.file_metadata();
    let properties = WriterProperties::builder()
        .set_created_by(file_metadata.created_by().unwrap_or_default().to_owned())
        .set_key_value_metadata(file_metadata.key_value_metadata().cloned())
        .build();
    let schema = file_metadata.schema_descr().root_schema_ptr();
    let file = BufWriter::with_capacity(BUFFER_BYTES, file);
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(parquet_error)?;
    for shard in shards {
        let footer = shard.footer.as_ref().ok_or_else(not_parquet)?;
        let source = File::open(&shard.path).map_err(|error| file_error("read", &shard.path, error))?;
        let source = BufferedChunkReader(source);
        for row_group in 0..footer.num_row_groups() {
            copy_row_group(&source, footer, row_group, &mut writer).map_err(parquet_error)?;
            // Copying blocks; a cancelled run stops here.
            tokio::task::yield_now().await;
        }
        shard.remove()?;
    }
    let metadata = writer.finish().map_err(parquet_error)?;
    let file = writer.inner_mut();
    file.flush().and_then(|()| file.get_mut().sync()).map_err(write_failed)?;
    let bytes = file.get_ref().bytes().map_err(write_failed)?;
    Ok((metadata, bytes))
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
