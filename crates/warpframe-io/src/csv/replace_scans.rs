//! The physical rule that replaces DataFusion's scans of CSV files.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::{CsvSource, FileScanConfig, FileScanConfigBuilder, FileSource};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use warpframe_datafusion::planner::rewrite_scans;

use super::dialect::CsvDialect;
use super::scan::CsvScan;

/// Replaces DataFusion's scans of CSV files, such as those of `SessionContext::read_csv`, by [`CsvScan`]s, which never split
/// a file. It runs before the rules that split files.
#[derive(Debug, Default)]
pub struct ReplaceCsvScans;

impl PhysicalOptimizerRule for ReplaceCsvScans {
    fn name(&self) -> &str {
        "replace_csv_scans"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        rewrite_scans(plan, replaced)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The scan that replaces one of CSV files.
fn replaced(scan: &FileScanConfig) -> Result<Option<FileScanConfig>> {
    let Some(csv) = scan.file_source().downcast_ref::<CsvSource>() else { return Ok(None) };
    let dialect = CsvDialect {
        has_header: csv.has_header(),
        is_header_detected: false,
        delimiter: csv.delimiter(),
        quote: csv.quote(),
        escape: csv.escape(),
        terminator: csv.terminator(),
        comment: csv.comment(),
        truncated_rows: csv.truncate_rows(),
        null_text: None,
        null_regex: None,
    };
    let compression = *scan.file_compression_type.get_variant();
    // DataFusion merges the columns of all files by their names.
    let source: Arc<dyn FileSource> = CsvScan::from_datafusion(csv, dialect, compression, false)?;
    Ok(Some(FileScanConfigBuilder::from(scan.clone()).with_source(source).build()))
}
