//! Parquet files as the input of a run. All footers are read and compared before a query is planned, so that an
//! error names the file.

use std::fs::File;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::Error::NotFound;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::ParquetMetaData;
use url::Url;

use super::local_files::{file_error, file_url, find_files};
use super::object_stores::{error_message, is_object_store_url};

/// The number of footers that are read from an object store concurrently.
const CONCURRENT_FOOTER_READS: usize = 16;

const FOLDER_HINT: &str = "there is no such object; the URL of a folder ends in '/'";

/// Parquet files that have the same columns.
#[derive(Debug, Clone)]
pub struct ParquetInput {
    urls: Vec<ListingTableUrl>,
    /// The suffix by which objects below a URL are selected; empty for a file or a single object.
    extension: &'static str,
    schema: SchemaRef,
    rows: u64,
    dropped_metadata: Vec<String>,
}

impl ParquetInput {
    /// Opens files by `name`: a URL in an object store of the context's runtime, or what
    /// [`open_local`](Self::open_local) takes. A URL that ends in '/' selects all `*.parquet` objects directly
    /// below it; the last part of a URL may be a glob pattern.
    ///
    /// # Errors
    /// The same as for [`open_local`](Self::open_local), or the object store cannot be read.
    pub async fn open(name: &str, context: &SessionContext) -> Result<Self> {
        match is_object_store_url(name) {
            true => Self::open_url(name, context).await,
            false => Self::open_local(name),
        }
    }

    async fn open_url(name: &str, context: &SessionContext) -> Result<Self> {
        let unreadable = |cause: &str| DataFusionError::Execution(format!("cannot read '{name}': {cause}"));
        let url = parse_url(name)?;
        let extension = if url.is_collection() { ".parquet" } else { "" };
        let store = context.runtime_env().object_store(&url)?;
        let state = context.state();
        let found = url.list_all_files(&state, &*store, extension).await;
        let found: Result<Vec<_>> = match found {
            Ok(found) => found.try_collect().await,
            Err(error) => Err(error),
        };
        let mut found = found.map_err(|error| match error.find_root() {
            DataFusionError::ObjectStore(cause) if matches!(**cause, NotFound { .. }) => {
                unreadable(FOLDER_HINT)
            }
            DataFusionError::ObjectStore(cause) => unreadable(&error_message(cause)),
            other => unreadable(&other.message()),
        })?;
        if found.is_empty() {
            return Err(unreadable(match url.is_collection() {
                true => "there is no *.parquet object",
                false => FOLDER_HINT,
            }));
        }
        found.sort_by(|one, other| one.location.cmp(&other.location));
        let footers = stream::iter(found)
            .map(|object| {
                let store = Arc::clone(&store);
                let name = PathBuf::from(format!("{}{}", url.object_store(), object.location));
                async move {
                    let footer = read_remote_footer(&*store, &object, &name).await?;
                    Ok::<_, DataFusionError>((name, footer))
                }
            })
            .buffered(CONCURRENT_FOOTER_READS);
        Self::from_footers(name, footers.try_collect().await?, vec![url.clone()], extension)
    }

    /// Opens local files: a file, a folder (the `*.parquet` files in it) or a glob pattern. The files are sorted
    /// by path.
    ///
    /// # Errors
    /// No file matches, a file is not valid Parquet, or two files have different columns.
    pub fn open_local(pattern: &str) -> Result<Self> {
        let files = find_files(pattern, "parquet")?;
        let urls = files.iter().map(|file| file_url(file)).collect::<Result<_>>()?;
        let footers = files.into_iter().map(|file| {
            let footer = read_footer(&file)?;
            Ok((file, footer))
        });
        Self::from_footers(pattern, footers.collect::<Result<_>>()?, urls, "")
    }

    /// Checks that all files have the same columns, and merges their metadata.
    fn from_footers(
        pattern: &str,
        footers: Vec<(PathBuf, ArrowReaderMetadata)>,
        urls: Vec<ListingTableUrl>,
        extension: &'static str,
    ) -> Result<Self> {
        let Some(((first_file, first), others)) = footers.split_first() else {
            return exec_err!("no file matches '{pattern}'");
        };
        for (file, footer) in others {
            check_same_columns(first_file, first.schema(), file, footer.schema())?;
        }

        // A key that is not the same in all files does not describe all rows.
        let (mut metadata, mut dropped_metadata) = (first.schema().metadata().clone(), Vec::new());
        for (_, footer) in others {
            let other_metadata = footer.schema().metadata();
            let keys: Vec<_> = metadata.keys().chain(other_metadata.keys()).cloned().collect();
            for key in keys {
                if metadata.get(&key) != other_metadata.get(&key) && !dropped_metadata.contains(&key) {
                    metadata.remove(&key);
                    dropped_metadata.push(key);
                }
            }
        }
        dropped_metadata.sort();
        Ok(Self {
            schema: Arc::new(Schema::new_with_metadata(first.schema().fields().clone(), metadata)),
            rows: footers.iter().map(|(_, footer)| footer.metadata().file_metadata().num_rows() as u64).sum(),
            urls,
            extension,
            dropped_metadata,
        })
    }

    /// The columns, with the key-value metadata that is the same in all files.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The number of rows in all files together, according to their footers.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The metadata keys that are not the same in all files and are therefore not in the schema, sorted.
    pub fn dropped_metadata(&self) -> &[String] {
        &self.dropped_metadata
    }

    /// The files as a table. Parquet statistics leave out NaN, so a session that was not built by
    /// `warpframe::Session` needs [`distrust_float_statistics`](warpframe_datafusion::planner::distrust_float_statistics) to
    /// return correct rows.
    ///
    /// # Errors
    /// DataFusion does not accept the files as a listing table.
    pub fn table(&self) -> Result<Arc<dyn TableProvider>> {
        let format = Arc::new(ParquetFormat::default());
        let options = ListingOptions::new(format).with_file_extension(self.extension);
        let config = ListingTableConfig::new_with_multi_paths(self.urls.clone())
            .with_listing_options(options)
            .with_schema(Arc::clone(&self.schema));
        Ok(Arc::new(ListingTable::try_new(config)?))
    }
}

/// Parses a URL whose last part may be a glob pattern.
fn parse_url(name: &str) -> Result<ListingTableUrl> {
    let Some(folder) = name.find(['*', '?', '[']).and_then(|glob| name[..glob].rfind('/')) else {
        return ListingTableUrl::parse(name);
    };
    let (folder, pattern) = name.split_at(folder + 1);
    let invalid =
        |what: &dyn std::fmt::Display| DataFusionError::Execution(format!("'{name}' is not valid: {what}"));
    let url = Url::parse(folder).map_err(|error| invalid(&error))?;
    ListingTableUrl::try_new(url, Some(glob::Pattern::new(pattern).map_err(|error| invalid(&error))?))
}

async fn read_remote_footer(
    store: &dyn ObjectStore,
    object: &ObjectMeta,
    name: &Path,
) -> Result<ArrowReaderMetadata> {
    let unreadable = |error| file_error("read as Parquet", name, error);
    let metadata = DFParquetMetadata::new(store, object).fetch_metadata().await;
    let metadata = metadata.map_err(|error| unreadable(error.find_root().message().into_owned()))?;
    let footer = catch_unwind(|| ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new()))
        .map_err(|_| unreadable("its footer is damaged".to_owned()))?
        .map_err(|error| unreadable(error.to_string()))?;
    check_footer(footer.metadata(), object.size).map_err(|what| unreadable(what.to_owned()))?;
    Ok(footer)
}

fn read_footer(path: &Path) -> Result<ArrowReaderMetadata> {
    let unreadable = |error| file_error("read as Parquet", path, error);
    let file = File::open(path).map_err(|error| file_error("open", path, error))?;
    let length = file.metadata().map_err(|error| file_error("open", path, error))?.len();
    // The decoder of the embedded Arrow schema panics on some invalid input.
    let footer = catch_unwind(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))
        .map_err(|_| unreadable("its footer is damaged".to_owned()))?
        .map_err(|error| unreadable(error.to_string()))?;
    check_footer(footer.metadata(), length).map_err(|what| unreadable(what.to_owned()))?;
    Ok(footer)
}

/// Checks the values of a footer that the Parquet reader uses without checking them.
fn check_footer(metadata: &ParquetMetaData, length: u64) -> Result<(), &'static str> {
    let mut rows = 0i64;
    for row_group in metadata.row_groups() {
        if row_group.num_rows() < 0 {
            return Err("its footer is damaged: a row group has a negative number of rows");
        }
        rows = rows.saturating_add(row_group.num_rows());
        for chunk in row_group.columns() {
            let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
            let end = start.checked_add(chunk.compressed_size());
            let inside = start >= 0
                && chunk.compressed_size() >= 0
                && chunk.num_values() >= 0
                && end.is_some_and(|end| end as u64 <= length);
            if !inside {
                return Err("its footer is damaged: a column lies outside of the file");
            }
        }
    }
    if metadata.file_metadata().num_rows() != rows {
        return Err("its footer is damaged: the row groups do not add up to the file's rows");
    }
    Ok(())
}

fn check_same_columns(first: &Path, expected: &Schema, other: &Path, found: &Schema) -> Result<()> {
    let describe = |schema: &Schema, column: usize| match schema.fields().get(column) {
        None => "nothing".to_owned(),
        Some(field) => {
            let null = if field.is_nullable() { "" } else { " NOT NULL" };
            format!("{} {}{null}", field.name(), field.data_type())
        }
    };
    let columns = expected.fields().len().max(found.fields().len());
    for column in 0..columns {
        let (expected, found) = (describe(expected, column), describe(found, column));
        if expected != found {
            return exec_err!(
                "the files have different columns: column {} is {expected} in '{}' and {found} in '{}'",
                column + 1,
                first.display(),
                other.display()
            );
        }
    }
    Ok(())
}
