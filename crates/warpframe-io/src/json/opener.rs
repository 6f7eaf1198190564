//! Opens JSON files, or parts of them, as streams of batches.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;

use super::array_items::ArrayItems;
use crate::file_type::Compression;
use crate::text_input::{Input, local_file};

/// Whether a file may be split at line breaks: it is local, and its first line is an object.
pub(super) async fn is_splittable(store: &Arc<dyn ObjectStore>, location: &Path) -> Result<bool> {
    if local_file(store, location).await?.is_none() {
        return Ok(false);
    }
    let mut input = Input::open(store, location, 0, Compression::UNCOMPRESSED).await?;
    let Some(piece) = input.next().await? else { return Ok(false) };
    let line = piece.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    let is_object = |line: &[u8]| {
        line.trim_ascii_start().starts_with(b"{")
            && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
    };
    Ok(line.is_some_and(is_object))
}

/// Opens files, or parts of them, as streams of batches.
#[derive(Debug, Clone)]
pub(super) struct JsonOpener {
    pub store: Arc<dyn ObjectStore>,
    pub compression: Compression,
    /// The columns to read.
    pub schema: SchemaRef,
    pub batch_size: usize,
}

impl FileOpener for JsonOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let opener = self.clone();
        Ok(Box::pin(async move { opener.open_part(file).await }))
    }
}

impl JsonOpener {
    /// Opens a file, or the lines that begin in a range of its bytes.
    async fn open_part(self, file: PartitionedFile) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let location = &file.object_meta.location;
        let range = file.range.as_ref().map(|range| (range.start.max(0) as u64, range.end.max(0) as u64));
        let (start, end) = range.unwrap_or((0, u64::MAX));
        // A line that begins at `start` has the end of its predecessor just before.
        let from = start.saturating_sub(1);
        let decoder = ReaderBuilder::new(self.schema)
            .with_batch_size(self.batch_size)
            .with_coerce_primitive(true)
            .build_decoder()?;
        let part = Part {
            input: Input::open(&self.store, location, from, self.compression).await?,
            decoder,
            items: ArrayItems::default(),
            piece: Bytes::new(),
            position: from,
            skips_line: start > 0,
            end,
        };
        let batches =
            stream::try_unfold(
                part,
                |mut part| async move { Ok(part.next().await?.map(|batch| (batch, part))) },
            );
        Ok(batches.boxed())
    }
}

/// A part of a file that is being read.
struct Part {
    input: Input,
    decoder: Decoder,
    items: ArrayItems,
    /// The text that follows.
    piece: Bytes,
    /// The position behind it in the file.
    position: u64,
    /// Whether the text up to the next line belongs to the part before this one.
    skips_line: bool,
    /// The position from which on lines belong to the part behind this one.
    end: u64,
}

impl Part {
    /// The next batch.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.piece.is_empty() {
                match self.next_piece().await? {
                    Some(piece) => self.piece = piece,
                    None if !self.items.is_complete() => {
                        return Err(self.input.error(&"the array is not closed"));
                    }
                    None => return self.decoder.flush().map_err(|error| self.error(error)),
                }
            }
            let read = self.decoder.decode(&self.piece).map_err(|error| self.error(error))?;
            self.piece = self.piece.slice(read..);
            if !self.piece.is_empty() {
                // The batch is full.
                return self.decoder.flush().map_err(|error| self.error(error));
            }
        }
    }

    /// The next text of this part; `None` at its end.
    async fn next_piece(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.position > self.end {
                return Ok(None);
            }
            let Some(mut piece) = self.input.next().await? else { return Ok(None) };
            let begin = self.position;
            self.position += piece.len() as u64;
            if self.skips_line {
                let Some(line_end) = memchr::memchr(b'\n', &piece) else { continue };
                self.skips_line = false;
                if begin + line_end as u64 + 1 >= self.end {
                    return Ok(None);
                }
                piece = piece.slice(line_end + 1..);
            }
            // The line that `end` is in, or behind whose end it is, is the last one.
            let piece_begin = self.position - piece.len() as u64;
            let last = self.end.saturating_sub(1).max(piece_begin);
            if last < self.position
                && let Some(length) = memchr::memchr(b'\n', &piece[(last - piece_begin) as usize..])
            {
                let kept = (last - piece_begin) as usize + length + 1;
                piece = piece.slice(..kept);
                self.position = u64::MAX;
            } else if last < self.position {
                // The rest of the line is in the next piece.
                self.end = self.position;
            }
            if piece.is_empty() {
                continue;
            }
            if self.items.may_be_array() {
                let mut text = piece.to_vec();
                self.items.separate(&mut text).map_err(|message| self.input.error(&message))?;
                piece = text.into();
            }
            return Ok(Some(piece));
        }
    }

    fn error(&self, error: ArrowError) -> DataFusionError {
        let message = match error {
            ArrowError::JsonError(message) => message,
            other => other.to_string(),
        };
        self.input.error(&message)
    }
}
