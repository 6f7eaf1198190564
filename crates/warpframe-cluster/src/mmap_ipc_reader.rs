//! A reader of memory-mapped files in the Arrow IPC streaming format. It does not copy: the columns of a batch are slices
//! of the mapping, except for buffers whose alignment in the file is too small. It verifies the checksum of every block
//! before it interprets it, and validates the buffers of every batch.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::vec;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::root_as_message;
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use memmap2::MmapOptions;

use super::checksums::{Block, FileChecksums};

/// The bytes before the metadata of a message: a continuation marker and the length of the metadata, which is 0 at the end of
/// the stream.
const PREFIX_BYTES: usize = 8;

/// The continuation marker.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// An iterator over the batches of a file. The batches keep the mapping alive, also after the file has been removed.
pub(super) struct MmapIpcReader {
    messages: Messages,
    decoder: StreamDecoder,
    schema: SchemaRef,
}

impl MmapIpcReader {
    /// Opens a file, which must not change any more and is called `name` in its checksums. Pages are loaded as they are
    /// accessed.
    ///
    /// # Errors
    /// The file or its checksums cannot be read or are damaged, or it does not begin with a schema.
    pub fn open(path: &Path, name: &str) -> Result<Self> {
        Self::map(path, name, &MmapOptions::new())
    }

    /// Opens a file and loads all its pages (`MAP_POPULATE`), so that no later access causes a page fault.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_populated(path: &Path, name: &str) -> Result<Self> {
        Self::map(path, name, MmapOptions::new().populate())
    }

    fn map(path: &Path, name: &str, options: &MmapOptions) -> Result<Self> {
        let failed = |cause: &dyn std::fmt::Display| read_error(path, cause);
        let blocks = FileChecksums::read(path, name)?.blocks(&[0])?;
        let file = File::open(path).map_err(|error| failed(&error))?;
        // SAFETY: the mapping is invalid if the file changes. Executors and sessions write each file once under a unique
        // name in a private folder, and only remove it afterwards, which keeps the pages of existing mappings.
        let map = unsafe { options.map(&file) }.map_err(|error| failed(&error))?;
        let (path, all) = (path.to_owned(), Bytes::from_owner(map));
        let blocks = blocks.into_iter();
        let mut messages = Messages { path, all, position: 0, verified: 0, blocks, is_at_end: false };
        let first = messages.next()?.unwrap_or_default();
        let schema = first
            .get(PREFIX_BYTES..)
            .and_then(|metadata| root_as_message(metadata).ok()?.header_as_schema())
            .map(fb_to_schema)
            .ok_or_else(|| messages.error(&"it does not begin with a schema"))?;
        let mut decoder = StreamDecoder::new();
        // The decoder processes the schema together with the next message.
        decoder.decode(&mut first.into()).map_err(|error| messages.error(&error))?;
        Ok(Self { messages, decoder, schema: schema.into() })
    }

    /// The schema of all batches.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn decode(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(message) = self.messages.next()? {
            let batch = self.decoder.decode(&mut Buffer::from(message));
            // A dictionary message yields no batch.
            if let Some(batch) = batch.map_err(|error| self.messages.error(&error))? {
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
        if batch.is_err() {
            // The iterator ends after an error.
            self.messages.is_at_end = true;
        }
        Some(batch)
    }
}

/// The messages of a file.
struct Messages {
    path: PathBuf,
    all: Bytes,
    /// The first byte that is not read yet.
    position: usize,
    /// The first byte that is not verified yet.
    verified: usize,
    /// The blocks that are not verified yet.
    blocks: vec::IntoIter<Block>,
    is_at_end: bool,
}

impl Messages {
    /// The next message with its prefix and body, or `None` at the end of the stream. Each message is a buffer of its own,
    /// so that the memory size of a batch is that of its part of the file.
    ///
    /// # Errors
    /// A block is damaged, or the file is not in the format.
    fn next(&mut self) -> Result<Option<Bytes>> {
        if self.is_at_end {
            return Ok(None);
        }
        let Some([c0, c1, c2, c3, l0, l1, l2, l3]) = self.peek(PREFIX_BYTES)?.first_chunk().copied() else {
            return Err(self.error(&"it is truncated"));
        };
        if [c0, c1, c2, c3] != CONTINUATION {
            return Err(self.error(&"it is not an Arrow IPC stream"));
        }
        let metadata = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if metadata == 0 {
            self.is_at_end = true;
            return Ok(None);
        }
        let start = PREFIX_BYTES + metadata;
        let parsed = root_as_message(&self.peek(start)?[PREFIX_BYTES..]).map(|message| message.bodyLength());
        let body = parsed.map_err(|error| self.error(&error))?;
        let body = usize::try_from(body).ok().and_then(|body| start.checked_add(body));
        let length = body.ok_or_else(|| self.error(&"a message has an invalid length"))?;
        self.peek(length)?;
        let message = self.all.slice(self.position..self.position + length);
        self.position += length;
        Ok(Some(message))
    }

    /// The next bytes, which are verified.
    fn peek(&mut self, length: usize) -> Result<&[u8]> {
        let end = self.position.checked_add(length).filter(|end| *end <= self.all.len());
        let end = end.ok_or_else(|| self.error(&"it is truncated"))?;
        while self.verified < end {
            let block = self.blocks.next().ok_or_else(|| self.error(&"it is longer than it was"))?;
            let block_end = (block.bytes.end as usize).min(self.all.len());
            block.verify(&self.all[self.verified..block_end], &self.path.to_string_lossy())?;
            self.verified = block_end;
        }
        Ok(&self.all[self.position..end])
    }

    fn error(&self, cause: &dyn std::fmt::Display) -> DataFusionError {
        read_error(&self.path, cause)
    }
}

fn read_error(path: &Path, cause: &dyn std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("cannot read the Arrow IPC file '{}': {cause}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::io::{Seek, SeekFrom, Write};
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, DictionaryArray, Float64Array, StringArray};
    use arrow::datatypes::Int8Type;
    use arrow::ipc::writer::StreamWriter;

    use super::super::checksums::{ChecksumWriter, checksum_path};
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

    /// Writes a file with checksums, and returns its batches.
    fn write(path: &Path) -> [RecordBatch; 3] {
        let batches = [batch(), batch().slice(1, 0), batch().slice(1, 2)];
        let file = ChecksumWriter::create_new(path).unwrap();
        let mut writer = StreamWriter::try_new(file, &batch().schema()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap().finish("rows").unwrap();
        batches
    }

    /// Whether a file is read to its end without an error.
    fn is_readable(path: &Path) -> bool {
        MmapIpcReader::open(path, "rows").is_ok_and(|mut rows| rows.all(|batch| batch.is_ok()))
    }

    #[test]
    fn round_trip_and_truncated_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let batches = write(&path);
        let opened = [
            MmapIpcReader::open(&path, "rows").unwrap(),
            MmapIpcReader::open_populated(&path, "rows").unwrap(),
        ];
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
            assert!(!is_readable(&path), "{length} of {} bytes", whole.len());
            // With the checksums of the truncated file.
            let checksums = FileChecksums::of_file(&path, "rows".to_owned(), &[length as u64]).unwrap();
            checksums.write(&path).unwrap();
            assert!(!is_readable(&path), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn every_flipped_bit_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        write(&path);
        assert!(is_readable(&path));
        for file in [checksum_path(&path), path.clone()] {
            let whole = std::fs::read(&file).unwrap();
            let mut open = File::options().write(true).open(&file).unwrap();
            let mut put = |at: usize, byte: u8| {
                open.seek(SeekFrom::Start(at as u64)).unwrap();
                open.write_all(&[byte]).unwrap();
            };
            for (at, byte) in whole.iter().enumerate() {
                for bit in 0..8 {
                    put(at, byte ^ 1 << bit);
                    assert!(!is_readable(&path), "bit {bit} of byte {at} of {}", file.display());
                }
                put(at, *byte);
            }
        }
        assert!(is_readable(&path));
    }
}
