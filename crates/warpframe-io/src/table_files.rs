//! Files as tables: which files a name stands for, which format they have, and which of them are left out.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig};
use datafusion::prelude::SessionContext;

use super::column_names::repeated_name;
use super::file_type::{DataFormat, FileType};
use super::folder_files::with_file_type;
use super::opened_table::{OpenTable, format_of};
use super::parquet_input::ParquetInput;
use super::partitioned_table::PartitionedTable;
use super::read_options::ReadOptions;
use super::standard_input::{self, is_standard_input};
use super::store_errors::error_message;
use super::stream_table::open_stream;
use super::table_location::TableFiles;

/// Opens files as a table, as [`open_tables`] does without options.
///
/// # Errors
/// The same as for [`open_tables`].
pub async fn open_table(context: &SessionContext, pattern: &str) -> Result<Arc<dyn TableProvider>> {
    Ok(open_tables(context, &[pattern], &ReadOptions::default()).await?.provider)
}

/// Opens files as one table. A name is a local file, folder or glob pattern, a URL in an object store, or `-` for the standard
/// input, which is read once and in its order. The rows are in the order of the names, and of the paths of the files behind a
/// name. All files must have the same columns.
///
/// The format is that of `options`, or that which the extensions of the files stand for, such as `.parquet`, `.csv` or
/// `.csv.gz`, or else their first bytes. All named files must have the same format. Of a folder these are the files in it and
/// in the folders below it that have the extension of a format; if there are several formats, this is an error, unless
/// `options` choose one. Names that begin with `.` or `_` are no data.
///
/// Folders below the one that is named, or below the part of a pattern before its first wildcard, whose names have the form
/// `column=value` are partitions: their columns follow those of the files.
///
/// What the user should know, such as which files of a folder were left out, is added to the [`Notes`](crate::Notes) of the session.
///
/// # Errors
/// No file matches, the format is not known or not the same for all files, a file cannot be read, or two columns have one name.
pub async fn open_tables(
    context: &SessionContext,
    names: &[impl AsRef<str>],
    options: &ReadOptions,
) -> Result<OpenTable> {
    let table = open_all(context, names, options).await?;
    match repeated_name(&table.provider.schema()) {
        None => Ok(table),
        Some(column) => {
            let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
            exec_err!(
                "'{}' has two columns '{column}', and columns are found by their names: write it anew with other names",
                names.join("', '")
            )
        }
    }
}

async fn open_all(
    context: &SessionContext,
    names: &[impl AsRef<str>],
    options: &ReadOptions,
) -> Result<OpenTable> {
    for name in names {
        let name = name.as_ref();
        let (name, source) = match is_standard_input(name) && standard_input::file_path().is_none() {
            true => (standard_input::NAME, Some(standard_input::take()?)),
            false => (name, standard_input::open_pipe(name).await?),
        };
        match source {
            Some(source) if names.len() == 1 => return open_stream(context, name, source, options).await,
            Some(_) => {
                return exec_err!(
                    "'{name}' is a pipe, which cannot be one of several inputs: write it to a file first"
                );
            }
            None => {}
        }
    }
    let mut all: Option<(TableFiles, FileType)> = None;
    for name in names {
        let name = name.as_ref();
        let path = standard_input::file_path().filter(|_| is_standard_input(name));
        let found = TableFiles::find(context, path.unwrap_or(name)).await?;
        let (found, file_type) = with_file_type(context, found, options.format).await?;
        match &mut all {
            None => all = Some((found, file_type)),
            Some((files, first)) if first.is_read_as(file_type) => files.append(found)?,
            Some((files, first)) => {
                return exec_err!(
                    "'{}' is {first} and '{}' is {file_type}: the files of a table have one format",
                    files.pattern,
                    found.pattern
                );
            }
        }
    }
    let Some((files, file_type)) = all else { return exec_err!("there is no name of a file") };
    if file_type.format == DataFormat::Parquet {
        let input = ParquetInput::of_files(files, context).await?;
        return Ok(OpenTable {
            provider: input.table()?,
            file_type,
            rows: Some(input.rows()),
            dropped_metadata: input.dropped_metadata().to_vec(),
        });
    }
    let format = format_of(&context.state(), file_type, options);
    let provider = table_of(context, files, format, file_type).await?;
    Ok(OpenTable { provider, file_type, rows: None, dropped_metadata: Vec::new() })
}

/// The table of files of a format, whose columns are found in the files.
pub(super) async fn table_of(
    context: &SessionContext,
    files: TableFiles,
    format: Arc<dyn FileFormat>,
    file_type: FileType,
) -> Result<Arc<dyn TableProvider>> {
    let pattern = &files.pattern;
    let state = context.state();
    let store = context.runtime_env().object_store(&files.store)?;
    let objects = files.files.iter().map(|file| file.object.clone()).filter(|object| object.size > 0);
    let schema = format.infer_schema(&state, &store, &objects.collect::<Vec<_>>()).await;
    let schema = schema.map_err(|error| match error.find_root() {
        // These name the files.
        DataFusionError::Execution(message)
            if message.contains("cannot read") || message.starts_with("the files have different ") =>
        {
            DataFusionError::Execution(message.clone())
        }
        DataFusionError::ObjectStore(error) => {
            DataFusionError::Execution(format!("cannot read '{pattern}': {}", error_message(error, pattern)))
        }
        other => {
            DataFusionError::Execution(format!("cannot read '{pattern}' as {file_type}: {}", other.message()))
        }
    })?;
    if schema.fields().is_empty() {
        return exec_err!("there are no columns in '{pattern}': every file is empty");
    }
    let partitions = files.partitions()?;
    if !partitions.fields.is_empty() || files.keeps_order {
        return Ok(Arc::new(PartitionedTable::new(&files, partitions, format, schema, None)?));
    }
    let options = ListingOptions::new(format).with_file_extension(files.listed_suffix);
    let config = ListingTableConfig::new_with_multi_paths(files.urls)
        .with_listing_options(options)
        .with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}
