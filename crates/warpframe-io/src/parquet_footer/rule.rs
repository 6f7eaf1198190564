//! The physical rule that makes Parquet scans tolerate the faults of footers.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileScanConfig, FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::ParquetMetaData;
use warpframe_datafusion::planner::rewrite_scans;

use super::reading::{decode_nonconforming, footer_range, is_misread, tail_range};
use super::repair::{leaves_out_dictionary_headers, repaired};

/// The physical rule that makes Parquet scans tolerate the faults of footers. It does not change plans otherwise.
#[derive(Debug, Default)]
pub struct RepairFooters;

impl PhysicalOptimizerRule for RepairFooters {
    fn name(&self) -> &str {
        "repair_footers"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        rewrite_scans(plan, |scan| Ok(repairing_scan(scan)))
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The Parquet scan with repaired footers; `None` for other scans.
fn repairing_scan(scan: &FileScanConfig) -> Option<FileScanConfig> {
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
