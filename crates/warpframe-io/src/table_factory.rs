//! `CREATE EXTERNAL TABLE`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::Result;
use datafusion::datasource::listing_table_factory::ListingTableFactory;
use datafusion::execution::SessionState;
use datafusion::logical_expr::CreateExternalTable;
use datafusion::prelude::SessionContext;

use super::parquet_input::ParquetInput;
use super::table_files::table_of;
use super::table_location::TableFiles;

/// Makes the tables of `CREATE EXTERNAL TABLE`: those with declared columns as DataFusion does, and those of a folder with
/// partition folders and without declared columns as [`open_table`](crate::open_table) does, so that partition columns
/// have the same types.
#[derive(Debug, Default)]
pub struct TableFactory {
    datafusion: ListingTableFactory,
}

impl TableFactory {
    /// The file types that the factory is for.
    pub const FILE_TYPES: [&str; 3] = ["PARQUET", "CSV", "ARROW"];
}

#[async_trait]
impl TableProviderFactory for TableFactory {
    async fn create(
        &self,
        state: &dyn Session,
        statement: &CreateExternalTable,
    ) -> Result<Arc<dyn TableProvider>> {
        let is_inferred = statement.schema.fields().is_empty()
            && statement.table_partition_cols.is_empty()
            && statement.order_exprs.is_empty()
            && statement.constraints.is_empty()
            && !statement.unbounded;
        if let ([location], true, Some(state)) =
            (&statement.locations[..], is_inferred, state.as_any().downcast_ref::<SessionState>())
            && let Some(table) = partitioned_table(state, location, statement).await?
        {
            return Ok(table);
        }
        self.datafusion.create(state, statement).await
    }
}

/// The table of a folder with partition folders; `None` for other locations.
async fn partitioned_table(
    state: &SessionState,
    location: &str,
    statement: &CreateExternalTable,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let context = SessionContext::new_with_state(state.clone());
    // DataFusion says what is wrong with a location that cannot be read.
    let Ok(files) = TableFiles::find(&context, location).await else { return Ok(None) };
    if files.files.iter().all(|file| file.partition.is_empty()) {
        return Ok(None);
    }
    let extension = statement.file_type.to_lowercase();
    let files = files.with_extension(&extension)?;
    let Some(format) = state.get_file_format_factory(&extension) else { return Ok(None) };
    let format = format.create(state, &statement.options)?;
    if extension == "parquet" {
        return ParquetInput::of_files(files, &context).await?.table_with(format).map(Some);
    }
    table_of(&context, files, format, &extension).await.map(Some)
}
