//! A reader of memory-mapped files in the Arrow IPC streaming format. It does not copy: the columns of a batch are slices
//! of the mapping, except for buffers whose alignment in the file is too small.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::{Message, root_as_message};
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use memmap2::MmapOptions;

/// The continuation marker before the length of every message.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// The end-of-stream marker: a continuation marker and the length 0.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// An iterator over the batches of a file. The batches keep the mapping alive, also after the file has been removed.
pub(super) struct MmapIpcReader {
    path: PathBuf,
    /// The messages that are not decoded yet.
    rest: Bytes,
    decoder: StreamDecoder,
    schema: SchemaRef,
}

impl MmapIpcReader {
    /// Opens a file, which must not change any more. Pages are loaded as they are accessed.
    ///
    /// # Errors
    /// The file cannot be read, or does not begin with a schema.
    pub fn open(path: &Path) -> Result<Self> {
        Self::map(path, &MmapOptions::new())
    }

    /// Opens a file and loads all its pages (`MAP_POPULATE`), so that no later access causes a page fault.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_populated(path: &Path) -> Result<Self> {
        Self::map(path, MmapOptions::new().populate())
    }

    fn map(path: &Path, options: &MmapOptions) -> Result<Self> {
        let failed = |cause: &dyn std::fmt::Display| read_error(path, cause);
        let file = File::open(path).map_err(|error| failed(&error))?;
        // SAFETY: the mapping is invalid if the file changes. Executors and sessions write each file once under a unique
        // name in a private folder, and only remove it afterwards, which keeps the pages of existing mappings.
        let map = unsafe { options.map(&file) }.map_err(|error| failed(&error))?;
        let (mut rest, mut decoder) = (Bytes::from_owner(map), StreamDecoder::new());
        let schema = parse_message(&rest)
            .map_err(|error| failed(&error))?
            .and_then(|(message, _)| Some(SchemaRef::new(fb_to_schema(message.header_as_schema()?))))
            .ok_or_else(|| failed(&"it does not begin with a schema"))?;
        // The decoder processes the schema together with the next message.
        let first = take_message(&mut rest).map_err(|error| failed(&error))?;
        decoder.decode(&mut first.unwrap_or_default().into()).map_err(|error| failed(&error))?;
        Ok(Self { path: path.to_owned(), rest, decoder, schema })
    }

    /// The schema of all batches.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn decode(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        while let Some(message) = take_message(&mut self.rest)? {
            // A dictionary message yields no batch.
            if let Some(batch) = self.decoder.decode(&mut Buffer::from(message))? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

impl Iterator for MmapIpcReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.decode().transpose()?;
        Some(batch.map_err(|error| {
            // The iterator ends after an error.
            self.rest = Bytes::from_static(&END);
            read_error(&self.path, &error)
        }))
    }
}

/// Splits off the next message with its prefix and body, or returns `None` at the end of the stream. Each message is a
/// buffer of its own, so that the memory size of a batch is that of its part of the file.
fn take_message(rest: &mut Bytes) -> Result<Option<Bytes>, ArrowError> {
    let end = parse_message(rest)?.map(|(_, end)| end);
    Ok(end.map(|end| rest.split_to(end)))
}

/// The first message and its end in the stream, or `None` at the end-of-stream marker.
fn parse_message(stream: &[u8]) -> Result<Option<(Message<'_>, usize)>, ArrowError> {
    let truncated = || ArrowError::IpcError("the stream is truncated".to_owned());
    let [c0, c1, c2, c3, l0, l1, l2, l3] = *stream.first_chunk().ok_or_else(truncated)?;
    if [c0, c1, c2, c3] != CONTINUATION {
        return Err(ArrowError::IpcError("it is not an Arrow IPC stream".to_owned()));
    }
    let header = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if header == 0 {
        return Ok(None);
    }
    let message = stream.get(8..8 + header).ok_or_else(truncated)?;
    let message = root_as_message(message).map_err(|error| ArrowError::IpcError(error.to_string()))?;
    let body = usize::try_from(message.bodyLength()).map_err(|_| truncated())?;
    let end = (8 + header).checked_add(body).filter(|end| *end <= stream.len()).ok_or_else(truncated)?;
    Ok(Some((message, end)))
}

fn read_error(path: &Path, cause: &dyn std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("cannot read the Arrow IPC file '{}': {cause}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, DictionaryArray, Float64Array, StringArray};
    use arrow::datatypes::Int8Type;
    use arrow::ipc::writer::StreamWriter;

    use super::*;

    fn batch() -> RecordBatch {
        let words: DictionaryArray<Int8Type> = [Some("a"), None, Some("bc")].into_iter().collect();
        let columns: [(&str, ArrayRef); 4] = [
            ("number", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)]))),
            ("truth", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
            ("text", Arc::new(StringArray::from(vec![Some("x"), Some(""), None]))),
            ("word", Arc::new(words)),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
    }

    #[test]
    fn round_trip_and_truncated_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let batches = [batch(), batch().slice(1, 0), batch().slice(1, 2)];
        let mut writer = StreamWriter::try_new(File::create(&path).unwrap(), &batch().schema()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        drop(writer);
        let opened = [MmapIpcReader::open(&path).unwrap(), MmapIpcReader::open_populated(&path).unwrap()];
        let whole = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        for rows in opened {
            assert_eq!(rows.schema(), batch().schema());
            let rows: Vec<_> = rows.map(|batch| batch.unwrap()).collect();
            // Compared as text, because NaN is not equal to itself.
            assert_eq!(format!("{rows:?}"), format!("{batches:?}"));
        }
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let failed = match MmapIpcReader::open(&path) {
                Ok(rows) => rows.last().is_some_and(|last| last.is_err()),
                Err(_) => true,
            };
            assert!(failed, "{length} of {} bytes", whole.len());
        }
    }
}
