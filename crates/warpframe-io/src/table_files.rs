//! Files as tables: Parquet, CSV or Arrow IPC, by the extension of their names.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig};
use datafusion::prelude::SessionContext;

use super::copy::ArrowFormat;
use super::csv::CsvFormat;
use super::parquet_input::ParquetInput;
use super::partitioned_table::PartitionedTable;
use super::table_location::TableFiles;

/// Opens files as a table: a local file, folder or glob pattern, or a URL in an object store. All files must have the
/// extension of the first. Of a folder these are the files with the first extension found of Parquet, CSV and Arrow IPC.
///
/// Folders below the one that is named, or below the part of a pattern before its first wildcard, whose names have the form
/// `column=value` are partitions: their columns follow those of the files. Names that begin with `.` or `_` are no data.
///
/// # Errors
/// No file matches, the extension is not supported or not the same for all files, or a file cannot be read.
pub async fn open_table(context: &SessionContext, pattern: &str) -> Result<Arc<dyn TableProvider>> {
    let files = TableFiles::find(context, pattern).await?;
    let (files, extension) = files.with_supported_extension()?;
    let format: Arc<dyn FileFormat> = match extension {
        "parquet" => return ParquetInput::of_files(files, context).await?.table(),
        "csv" => Arc::new(CsvFormat::with_header()),
        _ => Arc::new(ArrowFormat::default()),
    };
    table_of(context, files, format, extension).await
}

/// The table of files of a format, whose columns are found in the files.
pub(super) async fn table_of(
    context: &SessionContext,
    files: TableFiles,
    format: Arc<dyn FileFormat>,
    extension: &str,
) -> Result<Arc<dyn TableProvider>> {
    let pattern = &files.pattern;
    let state = context.state();
    let store = context.runtime_env().object_store(&files.store)?;
    let objects = files.files.iter().map(|file| file.object.clone()).filter(|object| object.size > 0);
    let schema = format.infer_schema(&state, &store, &objects.collect::<Vec<_>>()).await;
    let schema = schema.map_err(|error| match error.find_root() {
        DataFusionError::Execution(message) if message.contains("cannot read") => {
            DataFusionError::Execution(message.clone())
        }
        other => DataFusionError::Execution(format!(
            "cannot read '{pattern}' as {extension}: {}",
            other.strip_backtrace()
        )),
    })?;
    if schema.fields().is_empty() {
        return exec_err!("there are no columns in '{pattern}': every file is empty");
    }
    let partitions = files.partitions()?;
    if !partitions.fields.is_empty() {
        return Ok(Arc::new(PartitionedTable::new(&files, partitions, format, schema, None)?));
    }
    let options = ListingOptions::new(format).with_file_extension(files.listed_extension(extension));
    let config = ListingTableConfig::new_with_multi_paths(files.urls)
        .with_listing_options(options)
        .with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}
