//! Parquet files as the input of a run. All footers are read and compared before a query is planned, so that an
//! error names the file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::file_error::file_error;
use super::file_type::{DataFormat, FileType};
use super::folder_files::with_file_type;
use super::hive_partitions::PartitionColumns;
use super::named_errors::cause_of;
use super::parquet_errors::parquet_message;
use super::parquet_footer::{TolerantParquetFormat, read_footer, with_arrow_schema};
use super::partitioned_table::{PartitionedTable, table_schema};
use super::table_location::{TableFile, TableFiles};

/// The number of footers that are read from an object store concurrently.
const CONCURRENT_FOOTER_READS: usize = 16;

/// Parquet files that have the same columns, in the order of the first file.
#[derive(Debug, Clone)]
pub struct ParquetInput {
    files: TableFiles,
    /// The number of rows of each file.
    rows: Vec<u64>,
    partitions: PartitionColumns,
    file_schema: SchemaRef,
    schema: SchemaRef,
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
        let files = TableFiles::find(context, name).await?;
        let (files, _) = with_file_type(context, files, Some(DataFormat::Parquet)).await?;
        Self::of_files(files, context).await
    }

    /// Reads the footers of files.
    ///
    /// # Errors
    /// A file is not valid Parquet, or two files have different columns.
    pub(super) async fn of_files(files: TableFiles, context: &SessionContext) -> Result<Self> {
        let footers = read_footers(&files, context).await?;
        Self::from_footers(files, footers)
    }

    /// Opens local files: a file, a folder (the `*.parquet` files in it and in its partition folders) or a glob pattern. The
    /// files are sorted by path.
    ///
    /// # Errors
    /// No file matches, a file is not valid Parquet, or two files have different columns.
    pub fn open_local(pattern: &str) -> Result<Self> {
        let mut files = TableFiles::find_local(pattern)?;
        if files.is_folder {
            files.keep(|file| FileType::of_path(&file.name) == Some(FileType::plain(DataFormat::Parquet)))?;
        }
        let footers = files.files.iter().map(|file| Ok((file.name.clone(), read_local_footer(&file.name)?)));
        let footers = footers.collect::<Result<_>>()?;
        Self::from_footers(files, footers)
    }

    /// Checks that all files have the same columns, and merges their metadata.
    fn from_footers(files: TableFiles, footers: Vec<(PathBuf, ArrowReaderMetadata)>) -> Result<Self> {
        let Some(((first_file, first), others)) = footers.split_first() else {
            return exec_err!("no file matches '{}'", files.pattern);
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
        let file_schema =
            Arc::new(Schema::new_with_metadata(merged_fields(first.schema(), others), metadata));
        let partitions = files.partitions()?;
        Ok(Self {
            schema: table_schema(&file_schema, &partitions, &files.pattern)?,
            file_schema,
            partitions,
            rows: footers.iter().map(|(_, footer)| row_count(footer.metadata())).collect(),
            files,
            dropped_metadata,
        })
    }

    /// The columns of the files, then those of partition folders, with the key-value metadata that is the same in all files.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The number of rows in all files together, according to their footers.
    pub fn rows(&self) -> u64 {
        self.rows.iter().sum()
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
        self.table_with(Arc::new(TolerantParquetFormat::default()))
    }

    /// The files as a table with this Parquet format.
    ///
    /// # Errors
    /// The same as for [`table`](Self::table).
    pub(super) fn table_with(&self, format: Arc<dyn FileFormat>) -> Result<Arc<dyn TableProvider>> {
        if !self.partitions.fields.is_empty() || self.files.keeps_order {
            let (schema, rows) = (Arc::clone(&self.file_schema), Some(self.rows.clone()));
            let table = PartitionedTable::new(&self.files, self.partitions.clone(), format, schema, rows)?;
            return Ok(Arc::new(table));
        }
        let options = ListingOptions::new(format).with_file_extension(self.files.listed_suffix.clone());
        let config = ListingTableConfig::new_with_multi_paths(self.files.urls.clone())
            .with_listing_options(options)
            .with_schema(Arc::clone(&self.schema));
        Ok(Arc::new(ListingTable::try_new(config)?))
    }
}

/// The number of rows of a file. Some writers leave the total in the footer at 0; readers count the row groups.
fn row_count(metadata: &ParquetMetaData) -> u64 {
    metadata.row_groups().iter().map(|group| group.num_rows() as u64).sum()
}

/// Reads the footers of files, several at a time, and returns them in the order of the files.
///
/// # Errors
/// A file is not valid Parquet.
pub(super) async fn read_footers(
    files: &TableFiles,
    context: &SessionContext,
) -> Result<Vec<(PathBuf, ArrowReaderMetadata)>> {
    let store = context.runtime_env().object_store(&files.store)?;
    let cache = context.runtime_env().cache_manager.get_file_metadata_cache();
    let footers = stream::iter(files.files.clone()).map(|file| {
        let (store, cache) = (Arc::clone(&store), Arc::clone(&cache));
        async move {
            let footer = read_file_footer(&*store, &file, &cache).await?;
            Ok::<_, DataFusionError>((file.name, footer))
        }
    });
    footers.buffered(CONCURRENT_FOOTER_READS).try_collect().await
}

async fn read_file_footer(
    store: &dyn ObjectStore,
    file: &TableFile,
    cache: &Arc<FileMetadataCache>,
) -> Result<ArrowReaderMetadata> {
    let footer = read_footer(store, &file.object, cache).await;
    footer.map_err(|error| {
        let cause = cause_of(&file.name.to_string_lossy(), &error);
        let cause = cause.unwrap_or_else(|| error.find_root().message().into_owned());
        file_error("read as Parquet", &file.name, cause)
    })
}

fn read_local_footer(path: &Path) -> Result<ArrowReaderMetadata> {
    let file = File::open(path).map_err(|error| file_error("open", path, error))?;
    let length = file.metadata().map_err(|error| file_error("open", path, error))?.len();
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file);
    let footer = metadata.and_then(|metadata| with_arrow_schema(Arc::new(metadata), length));
    footer.map_err(|error| file_error("read as Parquet", path, parquet_message(&error)))
}

/// Checks that two files have columns of the same names and types, in any order.
fn check_same_columns(first: &Path, expected: &Schema, other: &Path, found: &Schema) -> Result<()> {
    let has_same_type = |field: &Field| {
        let mut same = found.fields().iter().filter(|other| other.name() == field.name());
        same.next().is_some_and(|other| other.data_type() == field.data_type()) && same.next().is_none()
    };
    if found.fields().len() == expected.fields().len()
        && expected.fields().iter().all(|field| has_same_type(field))
    {
        return Ok(());
    }
    let columns = expected.fields().len().max(found.fields().len());
    let describe = |schema: &Schema, column: usize| match schema.fields().get(column) {
        None => "nothing".to_owned(),
        Some(field) => format!("{} {}", field.name(), field.data_type()),
    };
    let different = |column: &usize| describe(expected, *column) != describe(found, *column);
    let Some(column) = (0..columns).find(different) else { return Ok(()) };
    let (expected, found) = (describe(expected, column), describe(found, column));
    exec_err!(
        "the files have different columns: column {} is {expected} in '{}' and {found} in '{}'",
        column + 1,
        first.display(),
        other.display()
    )
}

/// The columns of the first of several files that have the same ones. A column may have nulls if it may in any file.
fn merged_fields(first: &Schema, others: &[(PathBuf, ArrowReaderMetadata)]) -> Vec<Field> {
    let may_be_null = |field: &Field| {
        let others = others.iter().filter_map(|(_, other)| other.schema().field_with_name(field.name()).ok());
        field.is_nullable() || others.into_iter().any(Field::is_nullable)
    };
    let merged = |field: &Field| field.clone().with_nullable(may_be_null(field));
    first.fields().iter().map(|field| merged(field)).collect()
}
