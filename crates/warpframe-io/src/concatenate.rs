//! Concatenates files of one format: by copying their bytes, except those of Arrow and Avro, whose batches are written again.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use datafusion::common::{Result, internal_err};
use datafusion_datasource_avro::arrow_avro::reader::ReaderBuilder;

use super::concatenate_parquet::concatenate_parquet;
use super::file_error::file_error;
use super::file_type::DataFormat;
use super::output_settings::OutputSettings;
use super::row_writer::{RowWriter, end_stream, stream, write_failed};
use super::shard::Shard;
use super::write_behind::WriteBehind;

/// The size of the buffers that bytes are copied through.
pub(super) const BUFFER_BYTES: usize = 1024 * 1024;

/// Concatenates files with these columns, in order, into one file at `path`, and removes them. The file is on the disk when this
/// returns. `written` are the settings of the files, `settings` those of the new file. They may differ in the compression of the
/// whole, which only a single file may have.
///
/// # Errors
/// There are no files, or one cannot be read, written or removed.
pub async fn concatenate_shards(
    mut shards: Vec<Shard>,
    written: &OutputSettings,
    path: &Path,
    schema: &SchemaRef,
    settings: &OutputSettings,
) -> Result<Shard> {
    if shards.len() == 1
        && written.file_type == settings.file_type
        && let Some(only) = shards.pop()
    {
        return only.sync()?.rename(path);
    }
    if shards.is_empty() {
        return Err(file_error("write", path, "there is nothing to write"));
    }
    let unfinished = path.with_extension("joining");
    let file = File::create(&unfinished).map_err(|error| file_error("create", &unfinished, error))?;
    let file = WriteBehind::new(file, true);
    let rows = shards.iter().map(|shard| shard.rows).sum();
    let (bytes, footer) = match settings.file_type.format {
        DataFormat::Parquet => {
            let (footer, bytes) = concatenate_parquet(shards, file).await?;
            (bytes, Some(footer))
        }
        DataFormat::Csv | DataFormat::Tsv | DataFormat::Json | DataFormat::Ndjson => {
            (concatenate_text(shards, file, schema, settings).await?, None)
        }
        DataFormat::Arrow | DataFormat::ArrowStream | DataFormat::Avro => {
            (concatenate_batches(shards, file, schema, settings).await?, None)
        }
    };
    Shard { path: unfinished, rows, bytes, footer }.rename(path)
}

/// Concatenates texts: a header only at the beginning, and the elements of JSON arrays as one.
async fn concatenate_text(
    shards: Vec<Shard>,
    file: WriteBehind,
    schema: &SchemaRef,
    settings: &OutputSettings,
) -> Result<u64> {
    // What a file without rows consists of: a header, or the brackets of an array.
    let mut empty = RowWriter::begin(&settings.uncompressed(), Vec::new(), schema)?;
    empty.finish()?;
    let empty = empty.finished_mut().cloned().unwrap_or_default();
    let (first, last) = match settings.file_type.format {
        DataFormat::Json => empty.split_at(1),
        _ => empty.split_at(empty.len()),
    };
    let mut out = stream(file, settings)?;
    out.write_all(first).map_err(write_failed)?;
    let mut is_first = true;
    for shard in shards {
        if shard.rows > 0 && !std::mem::take(&mut is_first) && settings.file_type.format == DataFormat::Json {
            out.write_all(b",").map_err(write_failed)?;
        }
        let unreadable = |error| file_error("read", &shard.path, error);
        let mut source = File::open(&shard.path).map_err(unreadable)?;
        source.seek(SeekFrom::Start(first.len() as u64)).map_err(unreadable)?;
        let rows = shard.bytes.saturating_sub((first.len() + last.len()) as u64);
        let mut source = BufReader::with_capacity(BUFFER_BYTES, source.take(rows));
        let mut copied = 0;
        while copied < rows {
            let piece = std::io::copy(&mut (&mut source).take(BUFFER_BYTES as u64), &mut out);
            match piece.map_err(write_failed)? {
                0 => return Err(file_error("read", &shard.path, "it has become shorter")),
                bytes => copied += bytes,
            }
            // Copying blocks; a cancelled run stops here.
            tokio::task::yield_now().await;
        }
        shard.remove()?;
    }
    out.write_all(last).map_err(write_failed)?;
    sync(Some(&mut end_stream(out)?))
}

/// Waits until a new file is on the disk, and returns its size in bytes.
fn sync(file: Option<&mut WriteBehind>) -> Result<u64> {
    let Some(file) = file else { return internal_err!("a writer has not ended its file") };
    file.sync().map_err(write_failed)?;
    file.bytes().map_err(write_failed)
}

/// Writes the batches of Arrow and Avro files again.
async fn concatenate_batches(
    shards: Vec<Shard>,
    file: WriteBehind,
    schema: &SchemaRef,
    settings: &OutputSettings,
) -> Result<u64> {
    let mut writer = RowWriter::begin(settings, file, schema)?;
    for shard in shards {
        let unreadable = |error: &dyn std::fmt::Display| file_error("read", &shard.path, error);
        let source = File::open(&shard.path).map_err(|error| unreadable(&error))?;
        let source = BufReader::with_capacity(BUFFER_BYTES, source);
        let batches: Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send> =
            match settings.file_type.format {
                DataFormat::Arrow => {
                    Box::new(FileReader::try_new(source, None).map_err(|error| unreadable(&error))?)
                }
                DataFormat::Avro => {
                    Box::new(ReaderBuilder::new().build(source).map_err(|error| unreadable(&error))?)
                }
                _ => Box::new(StreamReader::try_new(source, None).map_err(|error| unreadable(&error))?),
            };
        for batch in batches {
            writer.write(&batch.map_err(|error| unreadable(&error))?)?;
            tokio::task::yield_now().await;
        }
        shard.remove()?;
    }
    writer.finish()?;
    sync(writer.finished_mut())
}
