//! Files as tables: Parquet, CSV or Arrow IPC, by the extension of their names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::prelude::SessionContext;

use super::csv::CsvFormat;
use super::local_files::{file_url, find_files};
use super::object_stores::is_object_store_url;
use super::parquet_input::ParquetInput;

/// The extensions of supported files, in the order in which a folder is searched for them.
const EXTENSIONS: [&str; 5] = ["parquet", "csv", "arrow", "ipc", "feather"];

/// Opens files as a table: a local file, folder or glob pattern, or a URL in an object store. All files must have the
/// extension of the first.
///
/// # Errors
/// No file matches, the extension is not supported or not the same for all files, or a file cannot be read.
pub async fn open_table(context: &SessionContext, pattern: &str) -> Result<Arc<dyn TableProvider>> {
    if is_object_store_url(pattern) {
        return open_remote(context, pattern).await;
    }
    let (files, extension) = find_local_table(pattern)?;
    let format: Arc<dyn FileFormat> = match extension {
        "parquet" => return ParquetInput::open_local(pattern)?.table(),
        "csv" => Arc::new(CsvFormat::with_header()),
        _ => Arc::new(ArrowFormat),
    };
    let urls = files.iter().map(|file| file_url(file)).collect::<Result<_>>()?;
    let options = ListingOptions::new(format).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options);
    let config = config.infer_schema(&context.state()).await.map_err(|error| {
        let name = format!("cannot read '{pattern}' as {extension}");
        DataFusionError::Execution(format!("{name}: {}", error.find_root().strip_backtrace()))
    })?;
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// Opens the object at a URL, or all objects below a URL that ends in '/'. Objects whose extension is not that of
/// CSV or Arrow IPC are read as Parquet.
async fn open_remote(context: &SessionContext, url: &str) -> Result<Arc<dyn TableProvider>> {
    let location = ListingTableUrl::parse(url)?;
    let extension =
        Path::new(location.prefix().as_ref()).extension().and_then(|extension| extension.to_str());
    let format: Arc<dyn FileFormat> = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Arc::new(CsvFormat::with_header()),
        Some("arrow" | "ipc" | "feather") => Arc::new(ArrowFormat),
        _ => return ParquetInput::open(url, context).await?.table(),
    };
    let options = ListingOptions::new(format).with_file_extension("");
    let config = ListingTableConfig::new(location).with_listing_options(options);
    let config = config.infer_schema(&context.state()).await.map_err(|error| {
        DataFusionError::Execution(format!("cannot read '{url}': {}", error.find_root().message()))
    })?;
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// The files that match a path, a folder or a glob pattern, and their common extension.
fn find_local_table(pattern: &str) -> Result<(Vec<PathBuf>, &'static str)> {
    let known = EXTENSIONS.join(", .");
    if Path::new(pattern).is_dir() {
        let found = EXTENSIONS
            .into_iter()
            .find_map(|extension| find_files(pattern, extension).ok().map(|files| (files, extension)));
        return match found {
            Some(found) => Ok(found),
            None => exec_err!("there is no file with the extension .{known} in the folder '{pattern}'"),
        };
    }
    let files = find_files(pattern, "*")?;
    let of_file = |file: &Path| {
        let extension = file.extension()?.to_str()?;
        EXTENSIONS.into_iter().find(|known| extension.eq_ignore_ascii_case(known))
    };
    let Some(extension) = files.first().and_then(|file| of_file(file)) else {
        return exec_err!("'{pattern}' has none of the extensions .{known}");
    };
    match files.iter().find(|file| of_file(file) != Some(extension)) {
        None => Ok((files, extension)),
        Some(other) => {
            exec_err!("'{pattern}' matches files of several kinds, among them '{}'", other.display())
        }
    }
}
