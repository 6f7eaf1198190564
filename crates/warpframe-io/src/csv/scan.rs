//! The scan of CSV files.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::config::CsvOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    CsvSource, FileOpenFuture, FileOpener, FileScanConfig, FileSource,
};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, apply_expression_roots};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::ObjectStore;

use super::CsvError;
use super::column_map::ColumnMap;
use super::decoder::{Decoded, Decoder};
use super::dialect::CsvDialect;
use super::header::is_header_of;
use super::input::lines_before;
use super::record_reader::RecordReader;
use crate::text_input::Input;
use crate::text_scan::{DEFAULT_BATCH_ROWS, projected};

/// What to do if a value is not of the type that was found at the beginning of the files.
const INFERRED_TYPE_HINT: &str =
    ", the type of the values at the beginning: declare the columns with CREATE EXTERNAL TABLE";

/// The scan of a table's CSV files.
#[derive(Debug, Clone)]
pub struct CsvScan {
    dialect: CsvDialect,
    compression: CompressionTypeVariant,
    /// Whether the columns are those of the files' headers, with types found from values, and were not declared.
    is_inferred: bool,
    /// Whether parts of a file may be read by different threads.
    is_splittable: bool,
    batch_size: Option<usize>,
    table_schema: TableSchema,
    projection: SplitProjection,
    metrics: ExecutionPlanMetricsSet,
}

impl CsvScan {
    /// A scan of all columns. `is_inferred` says whether the columns were found in the files or else declared.
    pub fn new(
        table_schema: TableSchema,
        dialect: CsvDialect,
        compression: CompressionTypeVariant,
        is_inferred: bool,
    ) -> Self {
        Self {
            dialect,
            compression,
            is_inferred,
            is_splittable: false,
            batch_size: None,
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same scan of files in another dialect, which may be split if no quoted value has a line break.
    pub fn with_dialect(&self, dialect: CsvDialect, is_splittable: bool) -> Self {
        Self { dialect, is_splittable, ..self.clone() }
    }

    /// The syntax of the files.
    pub fn dialect(&self) -> &CsvDialect {
        &self.dialect
    }

    /// The compression of the files.
    pub fn compression(&self) -> CompressionTypeVariant {
        self.compression
    }

    /// Whether the columns were found in the files, and not declared.
    pub fn is_inferred(&self) -> bool {
        self.is_inferred
    }

    /// DataFusion's scan with the same columns, which has an encoding for other processes. It is not executed.
    ///
    /// # Errors
    /// The projection does not fit the table.
    pub fn to_datafusion(&self) -> Result<Arc<dyn FileSource>> {
        let options = CsvOptions { newlines_in_values: Some(true), ..CsvOptions::default() };
        let scan = CsvSource::new(self.table_schema.clone()).with_csv_options(options);
        let all = SplitProjection::unprojected(&self.table_schema).source;
        projected(scan, Some(&self.projection.source).filter(|chosen| **chosen != all))
    }

    /// The scan that [`to_datafusion`](Self::to_datafusion) has encoded.
    ///
    /// # Errors
    /// The projection does not fit the table.
    pub fn from_datafusion(
        scan: &CsvSource,
        dialect: CsvDialect,
        compression: CompressionTypeVariant,
        is_inferred: bool,
    ) -> Result<Arc<dyn FileSource>> {
        let ours = Self::new(scan.table_schema().clone(), dialect, compression, is_inferred);
        projected(ours, scan.projection())
    }
}

impl FileSource for CsvScan {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let batch_size = self.batch_size.or(config.batch_size).unwrap_or(DEFAULT_BATCH_ROWS);
        let file_schema = self.table_schema.file_schema();
        let schema = Arc::new(file_schema.project(&self.projection.file_indices)?);
        let opener = CsvOpener(Arc::new(Part {
            store,
            dialect: self.dialect.clone(),
            compression: self.compression,
            is_inferred: self.is_inferred,
            file_schema: Arc::clone(file_schema),
            projection: self.projection.file_indices.clone(),
            schema,
            batch_size,
        }));
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
        "csv"
    }

    fn supports_repartitioning(&self) -> bool {
        self.is_splittable
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, ", has_header={}", self.dialect.has_header)
            }
            DisplayFormatType::TreeRender => Ok(()),
        }
    }

    fn apply_expressions(
        &self,
        apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter().map(|projected| &projected.expr), apply)
    }
}

/// Opens files, or parts of them, as streams of batches.
struct CsvOpener(Arc<Part>);

impl FileOpener for CsvOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let part = Arc::clone(&self.0);
        Ok(Box::pin(async move { part.open(file).await }))
    }
}

/// What an error says about a file with a header where the first one of the table has none, or without one where it has one.
const OTHERS_DIFFER: &str = "by its values, and the first file of the table differs in this: read them as two tables, or set the \
                             option header (--csv-header, or 'format.has_header') if that is wrong";

/// What the parts of a table's files have in common.
struct Part {
    store: Arc<dyn ObjectStore>,
    dialect: CsvDialect,
    compression: CompressionTypeVariant,
    is_inferred: bool,
    /// All columns of the files.
    file_schema: SchemaRef,
    /// The positions of the columns to read, and their schema.
    projection: Vec<usize>,
    schema: SchemaRef,
    batch_size: usize,
}

/// A part of a file that is being read.
struct OpenPart {
    part: Arc<Part>,
    file: PartitionedFile,
    input: Input,
    decoder: Decoder,
    /// The position in the file from which lines are counted.
    start: u64,
}

impl Part {
    /// Opens a file, or the part of it that begins in a range of bytes.
    async fn open(self: Arc<Self>, file: PartitionedFile) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let none = || Ok(stream::empty().boxed());
        let location = file.object_meta.location.clone();
        let range = file.range.as_ref().map(|range| (range.start.max(0) as u64, range.end.max(0) as u64));
        let (start, end) = range.unwrap_or((0, u64::MAX));
        let mut input = Input::open(&self.store, &location, 0, self.compression).await?;
        let Some((first, mut reader)) = input.read_first_record(&self.dialect).await? else { return none() };
        if self.dialect.is_header_detected && first.len() == self.file_schema.fields().len() {
            match (self.dialect.has_header, is_header_of(&first, &self.file_schema)) {
                (true, false) => return Err(input.error(&format_args!("it has no header, {OTHERS_DIFFER}"))),
                (false, true) => return Err(input.error(&format_args!("it has a header, {OTHERS_DIFFER}"))),
                _ => {}
            }
        }
        let names: Vec<_> = first.into_iter().map(|value| value.text).collect();
        let map = self.column_map(&names).map_err(|difference| input.error(&difference))?;
        let mut counted_from = 0;
        if start > 0 {
            // A record that begins at `start` has its predecessor's end just before.
            let rest = Input::open(&self.store, &location, start - 1, self.compression).await?;
            let Some(found) = rest.skip_to_record(&self.dialect, start - 1).await? else { return none() };
            (input, reader) = found;
            counted_from = reader.offset();
        }
        let decoder = self.decoder(reader, &map, end).map_err(|message| input.error(&message))?;
        let open = OpenPart { part: self, file, input, decoder, start: counted_from };
        let batches =
            stream::try_unfold(
                open,
                |mut open| async move { Ok(open.next().await?.map(|batch| (batch, open))) },
            );
        Ok(batches.boxed())
    }

    /// Where the columns are in a file whose first record has these values.
    fn column_map(&self, first: &[String]) -> Result<ColumnMap, String> {
        match self.dialect.has_header {
            true => ColumnMap::by_name(first, &self.file_schema, !self.is_inferred),
            false => Ok(ColumnMap::by_position(self.file_schema.fields().len())),
        }
    }

    fn decoder(&self, reader: RecordReader, map: &ColumnMap, end: u64) -> Result<Decoder, String> {
        let positions = self.projection.iter().filter_map(|column| map.positions.get(*column).copied());
        let map = ColumnMap { values: map.values, positions: positions.collect() };
        let hint = if self.is_inferred { INFERRED_TYPE_HINT } else { "" };
        Decoder::new(reader, &self.dialect, Arc::clone(&self.schema), &map, self.batch_size, hint, end)
    }
}

impl OpenPart {
    /// The next batch.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            match self.decoder.decode() {
                Ok(Decoded::Batch(batch)) => return Ok(Some(batch)),
                Ok(Decoded::End) => return Ok(None),
                Ok(Decoded::NeedsInput) => match self.input.next().await? {
                    None => self.decoder.finish(),
                    Some(piece) => self.decoder.feed(&piece),
                },
                Err(error) => return Err(self.error(error).await),
            }
        }
    }

    /// An error that names the line of the file.
    async fn error(&mut self, error: CsvError) -> DataFusionError {
        let location = &self.file.object_meta.location;
        let before = match self.start {
            0 => Ok(0),
            start => lines_before(&self.part.store, location, start).await,
        };
        match before {
            Ok(lines) => self.input.csv_error(&CsvError { line: error.line + lines, ..error }),
            Err(_) => self.input.error(&error.message),
        }
    }
}
