//! The decoder of shuffle data: Arrow IPC streams, one after the other, or the stream inside an Arrow IPC file. Buffers are
//! validated as they are decoded.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use datafusion::common::Result;
use futures::stream::{Stream, StreamExt, try_unfold};

use super::checksums::damaged;

/// The first bytes of the Arrow IPC file format, after which zeros align the first message.
const FILE_MAGIC: &[u8] = b"ARROW1";

/// Decodes the blocks of a partition.
#[derive(Default)]
pub(super) struct BatchDecoder {
    decoder: StreamDecoder,
    /// The bytes that are not decoded yet.
    rest: Buffer,
    format: Format,
}

#[derive(Default, PartialEq)]
enum Format {
    #[default]
    Unknown,
    Streams,
    /// The footer after the stream of a file is not used.
    File,
}

impl BatchDecoder {
    /// Adds the next block. Blocks are added when [`next`](Self::next) returns `None`.
    pub fn add(&mut self, mut block: Buffer) {
        if self.format == Format::Unknown && !block.is_empty() {
            self.format = Format::Streams;
            if block.starts_with(FILE_MAGIC) {
                self.format = Format::File;
                let zeros = block[FILE_MAGIC.len()..].iter().take_while(|byte| **byte == 0).count();
                block.advance(FILE_MAGIC.len() + zeros);
            }
        }
        self.rest = block;
    }

    /// The next batch, or `None` if the blocks so far have no further whole batch.
    ///
    /// # Errors
    /// The bytes are not in the format, or a batch is invalid.
    pub fn next(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        loop {
            match self.decoder.decode(&mut self.rest) {
                // The decoder is at the end of a stream, and more bytes follow.
                Err(_) if self.decoder.finish().is_ok() && !self.rest.is_empty() => match self.format {
                    Format::File => self.rest = Buffer::default(),
                    _ => self.decoder = StreamDecoder::new(),
                },
                decoded => return decoded,
            }
        }
    }

    /// Checks that the last stream is complete.
    ///
    /// # Errors
    /// It is truncated.
    pub fn finish(mut self) -> Result<(), ArrowError> {
        self.decoder.finish()
    }
}

/// The batches in the blocks of a partition. `file` names the file in messages.
pub(super) fn decode_blocks(
    blocks: impl Stream<Item = Result<Buffer>> + Unpin,
    file: String,
) -> impl Stream<Item = Result<RecordBatch>> {
    let state = (blocks, BatchDecoder::default(), file);
    try_unfold(state, |(mut blocks, mut decoder, file)| async move {
        loop {
            if let Some(batch) = decoder.next().map_err(|error| damaged(&file, &error))? {
                return Ok(Some((batch, (blocks, decoder, file))));
            }
            match blocks.next().await.transpose()? {
                Some(block) => decoder.add(block),
                None => break,
            }
        }
        decoder.finish().map_err(|error| damaged(&file, &error))?;
        Ok(None)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, StringArray};
    use arrow::ipc::writer::{FileWriter, StreamWriter};

    use super::*;

    fn batch(start: i32) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values(start..start + 100));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter_values((start..start + 100).map(|number| number.to_string())));
        RecordBatch::try_from_iter([("number", numbers), ("text", texts)]).unwrap()
    }

    fn stream(batches: &[RecordBatch]) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch(0).schema()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap()
    }

    /// Decodes bytes that arrive in blocks of this size.
    fn decode(bytes: &[u8], block: usize) -> Result<Vec<RecordBatch>, ArrowError> {
        let (mut decoder, mut batches) = (BatchDecoder::default(), Vec::new());
        for block in bytes.chunks(block) {
            decoder.add(Buffer::from(block));
            while let Some(batch) = decoder.next()? {
                batches.push(batch);
            }
        }
        decoder.finish()?;
        Ok(batches)
    }

    #[test]
    fn streams_and_files_are_decoded() {
        let streams = [stream(&[]), stream(&[batch(0), batch(7)]), stream(&[batch(3)])].concat();
        let mut file = FileWriter::try_new(Vec::new(), &batch(0).schema()).unwrap();
        file.write(&batch(0)).unwrap();
        file.write(&batch(7)).unwrap();
        let file = file.into_inner().unwrap();
        for block in [64, 1000, 1 << 20] {
            assert_eq!(decode(&streams, block).unwrap(), [batch(0), batch(7), batch(3)], "{block}");
            assert_eq!(decode(&file, block).unwrap(), [batch(0), batch(7)], "{block}");
        }
        assert!(decode(&streams[..streams.len() - 9], 64).is_err());
        assert_eq!(decode(&[], 64).unwrap(), []);
    }
}
