//! Parquet footers with two faults of old writers, which readers in other languages tolerate:
//!
//! - The file's number of rows is not that of its row groups, often 0. The reader derives its batch size from it, and
//!   returns no rows.
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
    async fn read_nonconforming(&mut self) -> ParquetResult<Arc<ParquetMetaData>> {
        let tail = self.reader.get_bytes(tail_range(self.size)?).await?;
        let footer = self.reader.get_bytes(footer_range(self.size, &tail)?).await?;
        decode_nonconforming(&footer)
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
                Ok(footer) if !is_misread(&footer) => repaired(footer),
                Ok(_) => self.read_nonconforming().await,
                Err(failure) => self.read_nonconforming().await.map_err(|_| failure),
            }
        }
        .boxed()
    }
}

/// A footer without the faults.
pub(super) fn repaired(footer: Arc<ParquetMetaData>) -> ParquetResult<Arc<ParquetMetaData>> {
    let has_fault = |column: &ColumnChunkMetaData| column.dictionary_page_offset() == Some(0);
    let rows = footer.row_groups().iter().fold(0i64, |rows, group| rows.saturating_add(group.num_rows()));
    let file = footer.file_metadata();
    let has_faulty_columns = footer.row_groups().iter().any(|group| group.columns().iter().any(has_fault));
    if file.num_rows() == rows && !has_faulty_columns {
        return Ok(footer);
    }
    let repaired_group = |group: RowGroupMetaData| {
        let mut group = group.into_builder();
        let columns = group.take_columns().into_iter().map(|column| match has_fault(&column) {
            true => column.into_builder().set_dictionary_page_offset(None).build(),
            false => Ok(column),
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
