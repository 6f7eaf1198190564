//! Parquet footers with three faults of old writers, which readers in other languages tolerate:
//!
//! - The file's number of rows is not that of its row groups, often 0. The reader derives its batch size from it, and
//!   returns no rows.
//! - The size of a column is without the header of its dictionary page, in files of parquet-mr before 1.2.9.
//! - The offset of a dictionary page is 0 where there is none. The reader looks for a page at the beginning of the file.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileScanConfig, FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, RowGroupMetaData,
};

use super::reading::{decode_nonconforming, footer_range, is_misread, tail_range};

/// The physical rule that makes Parquet scans tolerate the faults of footers. It does not change plans otherwise.
#[derive(Debug, Default)]
pub struct RepairFooters;

impl PhysicalOptimizerRule for RepairFooters {
    fn name(&self) -> &str {
        "repair_footers"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| {
            Ok(match repairing_scan(&node) {
                Some(scan) => Transformed::yes(DataSourceExec::from_data_source(scan) as _),
                None => Transformed::no(node),
            })
        })?;
        Ok(plan.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The Parquet scan that a plan is, with repaired footers.
fn repairing_scan(node: &Arc<dyn ExecutionPlan>) -> Option<FileScanConfig> {
    let source: &dyn std::any::Any = node.downcast_ref::<DataSourceExec>()?.data_source().as_ref();
    let scan: &FileScanConfig = source.downcast_ref()?;
    let source = scan.file_source().downcast_ref::<ParquetSource>()?;
    let readers = RepairingReaders(Arc::clone(source.parquet_file_reader_factory()?));
    let source = source.clone().with_parquet_file_reader_factory(Arc::new(readers));
    Some(FileScanConfigBuilder::from(scan.clone()).with_source(Arc::new(source)).build())
}

/// Readers of files whose footers are repaired.
#[derive(Debug)]
struct RepairingReaders(Arc<dyn ParquetFileReaderFactory>);

impl ParquetFileReaderFactory for RepairingReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let size = file.object_meta.size;
        let reader = self.0.create_reader(partition, file, size_hint, metrics)?;
        Ok(Box::new(RepairingReader { reader, size }))
    }
}

struct RepairingReader {
    reader: Box<dyn AsyncFileReader + Send>,
    /// The size of the file in bytes.
    size: u64,
}

impl RepairingReader {
    /// Where the footer is in the file.
    async fn footer_range(&mut self) -> ParquetResult<Range<u64>> {
        let tail = self.reader.get_bytes(tail_range(self.size)?).await?;
        footer_range(self.size, &tail)
    }

    async fn read_nonconforming(&mut self) -> ParquetResult<Arc<ParquetMetaData>> {
        let range = self.footer_range().await?;
        let footer = self.reader.get_bytes(range.clone()).await?;
        decode_nonconforming(&footer, range.start)
    }
}

impl AsyncFileReader for RepairingReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.reader.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.reader.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            match self.reader.get_metadata(options).await {
                Ok(footer) if !is_misread(&footer) => {
                    let end = match leaves_out_dictionary_headers(&footer) {
                        true => self.footer_range().await?.start,
                        false => self.size,
                    };
                    repaired(footer, end)
                }
                Ok(_) => self.read_nonconforming().await,
                Err(failure) => self.read_nonconforming().await.map_err(|_| failure),
            }
        }
        .boxed()
    }
}

/// A footer without the faults. `end` is the position of the footer in the file, which matters only if
/// [`leaves_out_dictionary_headers`] says so.
pub(super) fn repaired(footer: Arc<ParquetMetaData>, end: u64) -> ParquetResult<Arc<ParquetMetaData>> {
    let file = footer.file_metadata();
    let rows = footer.row_groups().iter().fold(0i64, |rows, group| rows.saturating_add(group.num_rows()));
    let is_short = leaves_out_dictionary_headers(&footer);
    let mut starts: Vec<_> = match is_short {
        true => footer.row_groups().iter().flat_map(|group| group.columns()).map(start).collect(),
        false => Vec::new(),
    };
    starts.sort_unstable();
    let repair = |column: &ColumnChunkMetaData| {
        let missing = if is_short { missing_bytes(column, &starts, end) } else { 0 };
        let has_offset = column.dictionary_page_offset() == Some(0);
        (missing > 0 || has_offset).then_some((missing, has_offset))
    };
    let columns = || footer.row_groups().iter().flat_map(|group| group.columns());
    if file.num_rows() == rows && columns().all(|column| repair(column).is_none()) {
        return Ok(footer);
    }
    let repaired_group = |group: RowGroupMetaData| {
        let mut group = group.into_builder();
        let columns = group.take_columns().into_iter().map(|column| {
            let Some((missing, has_offset)) = repair(&column) else { return Ok(column) };
            let offset = column.dictionary_page_offset().filter(|_| !has_offset);
            let bytes = column.compressed_size() + missing;
            let column = column.into_builder().set_dictionary_page_offset(offset);
            column.set_total_compressed_size(bytes).build()
        });
        let columns = columns.collect::<ParquetResult<_>>()?;
        group.set_column_metadata(columns).build()
    };
    let groups = footer.row_groups().iter().cloned().map(repaired_group).collect::<ParquetResult<_>>()?;
    let file = FileMetaData::new(
        file.version(),
        rows,
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let builder = ParquetMetaDataBuilder::new(file)
        .set_row_groups(groups)
        .set_column_index(footer.column_index().cloned())
        .set_offset_index(footer.offset_index().cloned());
    Ok(Arc::new(builder.build()))
}

/// Whether a writer leaves the header of the dictionary page out of the size of a column: parquet-mr before 1.2.9
/// (PARQUET-816).
pub(super) fn leaves_out_dictionary_headers(footer: &ParquetMetaData) -> bool {
    let created_by = footer.file_metadata().created_by();
    let Some(rest) = created_by.and_then(|writer| writer.strip_prefix("parquet-mr")) else { return false };
    let version = rest.trim_start().strip_prefix("version ").unwrap_or("0");
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0u32));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next()) < (1, 2, 9)
}

/// Where the pages of a column begin in the file.
fn start(column: &ColumnChunkMetaData) -> i64 {
    column.dictionary_page_offset().filter(|offset| *offset > 0).unwrap_or(column.data_page_offset())
}

/// The bytes between the end of a column and the next one, or the footer, if they can be those of a header.
fn missing_bytes(column: &ColumnChunkMetaData, starts: &[i64], footer: u64) -> i64 {
    const LONGEST_HEADER: i64 = 100;
    let end = start(column).saturating_add(column.compressed_size());
    let next = starts.iter().copied().find(|start| *start >= end);
    let missing = next.unwrap_or(i64::try_from(footer).unwrap_or(end)).saturating_sub(end);
    if (0..=LONGEST_HEADER).contains(&missing) { missing } else { 0 }
}
