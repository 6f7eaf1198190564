//! `CREATE EXTERNAL TABLE`.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::{Result, exec_err};
use datafusion::datasource::listing_table_factory::ListingTableFactory;
use datafusion::execution::SessionState;
use datafusion::logical_expr::CreateExternalTable;
use datafusion::prelude::SessionContext;

use super::declared_columns::check_declared_columns;
use super::file_type::{Compression, DataFormat, FileType};
use super::folder_files::with_file_type;
use super::local_files::is_glob;
use super::named_errors::with_name;
use super::parquet_input::ParquetInput;
use super::table_files::table_of;
use super::table_location::{TableFiles, object_url};
use super::url_schemes::is_object_store_url;

/// Makes the tables of `CREATE EXTERNAL TABLE`: those with declared columns as DataFusion does, and those of a folder with
/// partition folders and without declared columns as [`open_table`](crate::open_table) does, so that partition columns
/// have the same types. Patterns stand for the files that match them now, and the compression of text files is that of their
/// extension unless the options say something else.
#[derive(Debug, Default)]
pub struct TableFactory {
    datafusion: ListingTableFactory,
}

impl TableFactory {
    /// The file types that the factory is for.
    pub const FILE_TYPES: [&str; 8] = ["PARQUET", "CSV", "TSV", "JSON", "NDJSON", "JSONL", "ARROW", "AVRO"];
}

#[async_trait]
impl TableProviderFactory for TableFactory {
    async fn create(
        &self,
        state: &dyn Session,
        statement: &CreateExternalTable,
    ) -> Result<Arc<dyn TableProvider>> {
        let (Some(state), Some(format)) =
            (state.as_any().downcast_ref::<SessionState>(), DataFormat::from_name(&statement.file_type))
        else {
            return self.datafusion.create(state, statement).await;
        };
        let context = SessionContext::new_with_state(state.clone());
        let statement = &resolved(&context, format, statement).await?;
        let is_inferred = statement.schema.fields().is_empty()
            && statement.table_partition_cols.is_empty()
            && statement.order_exprs.is_empty()
            && statement.constraints.is_empty()
            && !statement.unbounded;
        if let ([location], true) = (&statement.locations[..], is_inferred)
            && let Some(table) = partitioned_table(&context, location, format, statement).await?
        {
            return Ok(table);
        }
        check_declared_columns(&context, state, format, statement).await?;
        let table = self.datafusion.create(state, statement).await;
        table.map_err(|error| with_name(&format!("read as {format}"), &statement.locations.join(", "), error))
    }
}

/// The statement with the files of patterns, and the compression of text files.
async fn resolved(
    context: &SessionContext,
    format: DataFormat,
    statement: &CreateExternalTable,
) -> Result<CreateExternalTable> {
    let mut statement = statement.clone();
    let mut locations = Vec::new();
    for location in std::mem::take(&mut statement.locations) {
        let is_pattern = is_glob(&location) && !Path::new(&location).exists();
        // Partition columns are found from a folder.
        if !is_pattern || !statement.table_partition_cols.is_empty() {
            locations.push(location);
            continue;
        }
        let files = TableFiles::find(context, &location).await?;
        if files.files.iter().any(|file| !file.partition.is_empty()) {
            locations.push(location);
            continue;
        }
        for file in &files.files {
            locations.push(match is_object_store_url(&location) {
                true => object_url(&files.store, &file.object)?.to_string(),
                false => file.name.to_string_lossy().into_owned(),
            });
        }
    }
    statement.locations = locations;
    let is_compression = |key: &String| key.trim_start_matches("format.").eq_ignore_ascii_case("compression");
    if format.is_text()
        && !statement.options.keys().any(is_compression)
        && let Some(compression) = compression_of(context, format, &statement.locations).await?
    {
        statement.options.insert("format.compression".to_owned(), compression.to_string());
    }
    Ok(statement)
}

/// The compression that the extensions of files of a format stand for; `None` if there is none.
async fn compression_of(
    context: &SessionContext,
    format: DataFormat,
    locations: &[String],
) -> Result<Option<Compression>> {
    let mut found = None;
    for location in locations {
        let names = match TableFiles::find(context, location).await {
            Ok(files) => files.files.into_iter().map(|file| file.name).collect(),
            // DataFusion says what is wrong with a location that cannot be read.
            Err(_) => vec![location.into()],
        };
        for name in names {
            let file_type = FileType::of_path(&name).filter(|found| found.format.is_read_as(format));
            let Some(file_type) = file_type else { continue };
            match found {
                None => found = Some(file_type.compression),
                Some(known) if known == file_type.compression => {}
                Some(_) => {
                    return exec_err!(
                        "'{location}' has files with and without compression: choose some by a pattern such as '*.csv.gz'"
                    );
                }
            }
        }
    }
    Ok(found.filter(Compression::is_compressed))
}

/// The table of a folder with partition folders; `None` for other locations.
async fn partitioned_table(
    context: &SessionContext,
    location: &str,
    format: DataFormat,
    statement: &CreateExternalTable,
) -> Result<Option<Arc<dyn TableProvider>>> {
    // DataFusion says what is wrong with a location that cannot be read.
    let Ok(files) = TableFiles::find(context, location).await else { return Ok(None) };
    let is_partitioned = files.files.iter().any(|file| !file.partition.is_empty());
    if !is_partitioned && !files.is_folder {
        return Ok(None);
    }
    // Notes which files of the folder are left out.
    let (files, file_type) = match with_file_type(context, files, Some(format)).await {
        Ok(found) => found,
        Err(_) if !is_partitioned => return Ok(None),
        Err(error) => return Err(error),
    };
    let state = context.state();
    let extension = statement.file_type.to_lowercase();
    let factory = state.get_file_format_factory(&extension).filter(|_| is_partitioned);
    let Some(factory) = factory else { return Ok(None) };
    let format = factory.create(&state, &statement.options)?;
    if file_type.format == DataFormat::Parquet {
        return ParquetInput::of_files(files, context).await?.table_with(format).map(Some);
    }
    table_of(context, files, format, file_type).await.map(Some)
}
