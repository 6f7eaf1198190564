//! What the ways to open files have in common: the result, and DataFusion's format for a type of files.

use std::sync::Arc;

use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::file_format::FileFormat;
use datafusion_datasource_avro::AvroFormat;

use super::copy::ArrowFormat;
use super::csv::CsvFormatFactory;
use super::file_type::{DataFormat, FileType};
use super::json::JsonFormat;
use super::read_options::ReadOptions;

/// A table of files that is open for reading.
#[derive(Debug, Clone)]
pub struct OpenTable {
    /// The table.
    pub provider: Arc<dyn TableProvider>,
    /// The type of its files.
    pub file_type: FileType,
    /// The number of rows of all files, if their format says it.
    pub rows: Option<u64>,
    /// Keys of metadata that are not the same in all files, and are therefore not in the schema of the table, sorted.
    pub dropped_metadata: Vec<String>,
}

/// DataFusion's format for files of a type other than Parquet.
pub(super) fn format_of(
    state: &dyn Session,
    file_type: FileType,
    options: &ReadOptions,
) -> Arc<dyn FileFormat> {
    let csv = |factory: CsvFormatFactory| factory.reading(state, file_type.compression, &options.csv);
    match file_type.format {
        DataFormat::Csv => csv(CsvFormatFactory::csv()),
        DataFormat::Tsv => csv(CsvFormatFactory::tsv()),
        DataFormat::Json | DataFormat::Ndjson => Arc::new(JsonFormat::reading(file_type.compression)),
        DataFormat::Avro => Arc::new(AvroFormat),
        DataFormat::Arrow | DataFormat::ArrowStream | DataFormat::Parquet => Arc::new(ArrowFormat::default()),
    }
}
