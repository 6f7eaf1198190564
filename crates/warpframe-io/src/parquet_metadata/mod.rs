//! What the footers of Parquet files say, as tables: the functions `parquet_metadata`, `parquet_schema` and
//! `parquet_file_metadata`. Where datafusion-cli or DuckDB have a column, it has their name and meaning here.

mod column_chunks;
mod columns;
mod files;
mod schema_nodes;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use self::columns::Footer;
use super::file_type::DataFormat;
use super::folder_files::with_file_type;
use super::parquet_input::read_footers;
use super::table_location::TableFiles;

/// A table function of the footers of Parquet files: its argument is a file, folder, glob or URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParquetFunction {
    /// `parquet_metadata`: a row for each column of each row group.
    ColumnChunks,
    /// `parquet_schema`: a row for each node of the schema, parents before their children.
    SchemaNodes,
    /// `parquet_file_metadata`: a row for each file.
    Files,
}

impl ParquetFunction {
    /// All functions.
    pub const ALL: [Self; 3] = [Self::ColumnChunks, Self::SchemaNodes, Self::Files];

    /// The name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::ColumnChunks => "parquet_metadata",
            Self::SchemaNodes => "parquet_schema",
            Self::Files => "parquet_file_metadata",
        }
    }

    /// The names of the columns. The others are numbers.
    fn columns(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::ColumnChunks => (&column_chunks::COLUMNS, &column_chunks::TEXTS),
            Self::SchemaNodes => (&schema_nodes::COLUMNS, &schema_nodes::TEXTS),
            Self::Files => (&files::COLUMNS, &files::TEXTS),
        }
    }

    fn schema(self) -> SchemaRef {
        let (columns, texts) = self.columns();
        let fields = columns.iter().map(|name| {
            let data_type = if texts.contains(name) { DataType::Utf8 } else { DataType::Int64 };
            Field::new(*name, data_type, true)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The rows of files.
    fn batch(self, footers: &[Footer]) -> Result<RecordBatch> {
        let columns = match self {
            Self::ColumnChunks => column_chunks::columns(footers)?,
            Self::SchemaNodes => schema_nodes::columns(footers),
            Self::Files => files::columns(footers),
        };
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }
}

impl TableFunctionImpl for ParquetFunction {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let path = match arguments.exprs() {
            [Expr::Literal(ScalarValue::Utf8(Some(path)) | ScalarValue::Utf8View(Some(path)), _)] => path,
            _ => {
                let name = self.name();
                return plan_err!("{name} takes the path of files as a text: use {name}('file.parquet')");
            }
        };
        Ok(Arc::new(FooterTable { function: *self, path: path.clone() }))
    }
}

/// The table of a call. The footers are read when it is scanned.
#[derive(Debug)]
struct FooterTable {
    function: ParquetFunction,
    path: String,
}

#[async_trait]
impl TableProvider for FooterTable {
    fn schema(&self) -> SchemaRef {
        self.function.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(state) = state.as_any().downcast_ref::<SessionState>() else {
            return exec_err!("{} needs a session of DataFusion", self.function.name());
        };
        let context = SessionContext::new_with_state(state.clone());
        let files = TableFiles::find(&context, &self.path).await?;
        let (files, _) = with_file_type(&context, files, Some(DataFormat::Parquet)).await?;
        let footers = read_footers(&files, &context).await?;
        let footers = footers.into_iter().zip(&files.files).map(|((file, metadata), found)| Footer {
            file,
            size: found.object.size,
            metadata,
        });
        let batch = self.function.batch(&footers.collect::<Vec<_>>())?;
        let schema = batch.schema();
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, projection.cloned())?)
    }
}
