//! Declared columns that no file of a table has. DataFusion's readers of Parquet, JSON and Avro make them NULL in
//! all rows, and that of Arrow IPC takes other columns for them.

use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use datafusion::datasource::file_format::FileFormat;
use datafusion::execution::SessionState;
use datafusion::logical_expr::CreateExternalTable;
use datafusion::prelude::SessionContext;
use futures::{FutureExt, StreamExt, stream};
use object_store::ObjectStore;

use super::file_type::{Compression, DataFormat};
use super::json::{object_names, sample_bytes};
use super::local_files::is_special_file;
use super::table_location::{TableFile, TableFiles};

/// The number of files whose columns are read concurrently.
const CONCURRENT_READS: usize = 16;

/// The number of columns that a message shows.
const SHOWN: usize = 20;

/// Checks that each declared column of a table is in one of its files: the first one, or else the others from the last one on,
/// up to the one that has the last of them. Footers of Parquet files, headers of Avro files and the beginnings of JSON files are
/// read. Files that cannot be read, or JSON files of which only a part was read, may have any columns. A table without files has
/// none that are missing. Arrow IPC files have the declared columns in their order, which is checked for all of them.
///
/// # Errors
/// No file has a column.
pub(super) async fn check_declared_columns(
    context: &SessionContext,
    state: &SessionState,
    format: DataFormat,
    statement: &CreateExternalTable,
) -> Result<()> {
    let is_json = matches!(format, DataFormat::Json | DataFormat::Ndjson);
    let is_arrow = matches!(format, DataFormat::Arrow | DataFormat::ArrowStream);
    let is_checked = is_json || is_arrow || matches!(format, DataFormat::Parquet | DataFormat::Avro);
    if statement.unbounded || !is_checked {
        return Ok(());
    }
    let names = statement.schema.fields().iter().map(|field| field.name().clone());
    let declared: Vec<_> = names.filter(|name| !statement.table_partition_cols.contains(name)).collect();
    let Some(factory) = state.get_file_format_factory(&statement.file_type.to_lowercase()) else {
        return Ok(());
    };
    let mut files = Vec::new();
    for location in &statement.locations {
        // A location without files, to which rows are added later.
        let Ok(found) = TableFiles::find(context, location).await else { return Ok(()) };
        if found.files.iter().any(|file| is_special_file(&file.name)) {
            return Ok(());
        }
        let store = context.runtime_env().object_store(&found.store)?;
        let found = found.files.into_iter().filter(|file| file.object.size > 0);
        files.extend(found.map(|file| (Arc::clone(&store), file)));
    }
    let (count, sample) = (files.len(), sample_bytes(files.len()));
    let reader =
        Reader { format: factory.create(state, &statement.options)?, is_json, declared, sample, state };
    let mut files = files.into_iter();
    let Some((store, first)) = files.next() else { return Ok(()) };
    let others: Vec<_> = files.rev().map(|(store, file)| reader.columns(store, file).boxed()).collect();
    let others = stream::iter(others).buffered(CONCURRENT_READS);
    let first_name = first.name.display().to_string();
    let mut columns = stream::once(reader.columns(store, first).boxed()).chain(others);
    let (mut missing, mut found): (Vec<_>, Vec<_>) = (reader.declared.iter().collect(), Vec::new());
    while (is_arrow || !missing.is_empty())
        && let Some((name, of_file)) = columns.next().await
    {
        let Some(of_file) = of_file else { return Ok(()) };
        if is_arrow && !of_file.starts_with(&reader.declared) {
            return plan_err!(
                "the table declares the columns {}, and '{name}' has {}: declare those of Arrow IPC files as they are in the \
                 files, in the same order",
                reader.declared.join(", "),
                of_file.join(", ")
            );
        }
        missing.retain(|name| !of_file.contains(name));
        for name in of_file {
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    let Some(name) = missing.first() else { return Ok(()) };
    let place = match count {
        1 => format!("'{first_name}' has none"),
        count => format!("none of the {count} files of '{}' has one", statement.locations.join("', '")),
    };
    let more = if found.len() > SHOWN { ", ..." } else { "" };
    let shown = found.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let similar = found.iter().find(|found| found.to_lowercase() == name.to_lowercase());
    let hint = similar.map(|similar| format!("; write \"{similar}\", with the double quotes"));
    plan_err!(
        "the table declares a column '{name}', and {place} of that name: the columns are {shown}{more}{}",
        hint.unwrap_or_default()
    )
}

/// Finds the columns of files of one format.
struct Reader<'a> {
    format: Arc<dyn FileFormat>,
    is_json: bool,
    /// The declared columns.
    declared: Vec<String>,
    /// The bytes that are read of a JSON file at most.
    sample: usize,
    state: &'a SessionState,
}

impl Reader<'_> {
    /// The name of a file and its columns, of JSON up to the last declared one; `None` if they are not known.
    async fn columns(&self, store: Arc<dyn ObjectStore>, file: TableFile) -> (String, Option<Vec<String>>) {
        let columns = self.known_columns(&store, &file).await;
        (file.name.display().to_string(), columns)
    }

    async fn known_columns(&self, store: &Arc<dyn ObjectStore>, file: &TableFile) -> Option<Vec<String>> {
        if self.is_json {
            let compression = self.format.compression_type();
            let compression = compression.map_or(Compression::UNCOMPRESSED, |found| *found.get_variant());
            return object_names(store, &file.object, compression, &self.declared, self.sample).await.ok()?;
        }
        let schema =
            self.format.infer_schema(self.state, store, std::slice::from_ref(&file.object)).await.ok()?;
        Some(schema.fields().iter().map(|field| field.name().clone()).collect())
    }
}
