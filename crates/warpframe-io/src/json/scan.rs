//! The scan of JSON files.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use bytes::Bytes;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileOpenFuture, FileOpener, FileScanConfig, FileSource, JsonSource,
};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;

use super::array_items::ArrayItems;
use crate::file_type::Compression;
use crate::text_input::{Input, local_file};

/// The number of objects in a batch if nobody says it.
const DEFAULT_BATCH_ROWS: usize = 8192;

/// The scan of a table's JSON files.
#[derive(Debug, Clone)]
pub struct JsonScan {
    compression: Compression,
    /// Whether parts of a file may be read by different threads.
    is_splittable: bool,
    batch_size: Option<usize>,
    table_schema: TableSchema,
    projection: SplitProjection,
    metrics: ExecutionPlanMetricsSet,
}

impl JsonScan {
    /// A scan of all columns, which does not split files.
    pub fn new(table_schema: TableSchema, compression: Compression) -> Self {
        Self {
            compression,
            is_splittable: false,
            batch_size: None,
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same scan, which may split files or not.
    pub(super) fn with_splits(self, is_splittable: bool) -> Self {
        Self { is_splittable, ..self }
    }

    /// The compression of the files.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// DataFusion's scan with the same columns, which has an encoding for other processes. It is not executed.
    ///
    /// # Errors
    /// The projection does not fit the table.
    pub fn to_datafusion(&self) -> Result<Arc<dyn FileSource>> {
        let scan = JsonSource::new(self.table_schema.clone());
        let all = SplitProjection::unprojected(&self.table_schema).source;
        match self.projection.source == all {
            true => Ok(Arc::new(scan)),
            false => Ok(scan.try_pushdown_projection(&self.projection.source)?.unwrap_or(Arc::new(scan))),
        }
    }

    /// The scan that [`to_datafusion`](Self::to_datafusion) has encoded. The plan has split files where they may be.
    ///
    /// # Errors
    /// The projection does not fit the table.
    pub fn from_datafusion(scan: &JsonSource, compression: Compression) -> Result<Arc<dyn FileSource>> {
        let ours = Self::new(scan.table_schema().clone(), compression);
        let projected = match scan.projection() {
            Some(projection) => ours.try_pushdown_projection(projection)?,
            None => None,
        };
        Ok(projected.unwrap_or(Arc::new(ours)))
    }
}

impl FileSource for JsonScan {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let file_schema = self.table_schema.file_schema();
        let opener = JsonOpener {
            store,
            compression: self.compression,
            schema: Arc::new(file_schema.project(&self.projection.file_indices)?),
            batch_size: self.batch_size.or(config.batch_size).unwrap_or(DEFAULT_BATCH_ROWS),
        };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), file_schema)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_size: Some(batch_size), ..self.clone() })
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let projection = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &projection);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "json"
    }

    fn supports_repartitioning(&self) -> bool {
        self.is_splittable
    }

    fn fmt_extra(&self, _: DisplayFormatType, _: &mut fmt::Formatter) -> fmt::Result {
        Ok(())
    }

    fn apply_expressions(
        &self,
        apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut recursion = TreeNodeRecursion::Continue;
        for projected in self.projection.source.iter() {
            recursion = apply(&projected.expr)?;
            if recursion == TreeNodeRecursion::Stop {
                break;
            }
        }
        Ok(recursion)
    }
}

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
struct JsonOpener {
    store: Arc<dyn ObjectStore>,
    compression: Compression,
    /// The columns to read.
    schema: SchemaRef,
    batch_size: usize,
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
