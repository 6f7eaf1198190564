//! Arrow IPC files as a file format. It is DataFusion's, with a sink that says where it writes: that of DataFusion is
//! private, and has no encoding for other processes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, GetExt, Result, Statistics, exec_err, internal_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{self, FileFormat, FileFormatFactory};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use futures::FutureExt;
use object_store::{ObjectMeta, ObjectStore};

use crate::named_errors::name_in_store;

/// Arrow IPC files as a format of listing tables. DataFusion's readers take columns by their position in each file, so the files
/// of a table have the same columns in the same order.
#[derive(Debug, Default)]
pub(crate) struct ArrowFormat(file_format::arrow::ArrowFormat);

#[async_trait]
impl FileFormat for ArrowFormat {
    fn get_ext(&self) -> String {
        self.0.get_ext()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        self.0.get_ext_with_compression(compression)
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        self.0.compression_type()
    }

    async fn infer_schema(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        files: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        let mut schemas: Vec<Schema> = Vec::new();
        for file in files {
            let schema = match self.0.infer_schema(state, store, std::slice::from_ref(file)).await {
                Err(error) if is_foreign(&error) => {
                    let name = name_in_store(store, &file.location).await;
                    return exec_err!(
                        "cannot read '{name}' as Arrow IPC: it is neither a file nor a stream of this format"
                    );
                }
                schema => schema?,
            };
            if let Some(first) = schemas.first()
                && names(first) != names(&schema)
            {
                let first_name = name_in_store(store, &files[0].location).await;
                let name = name_in_store(store, &file.location).await;
                return exec_err!(
                    "the files have different columns: '{first_name}' has {}, and '{name}' has {}; those of Arrow IPC files are \
                     read in their order",
                    names(first),
                    names(&schema)
                );
            }
            schemas.push(Arc::unwrap_or_clone(schema));
        }
        Ok(Arc::new(Schema::try_merge(schemas)?))
    }

    async fn infer_stats(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        file: &ObjectMeta,
    ) -> Result<Statistics> {
        self.0.infer_stats(state, store, schema, file).await
    }

    async fn create_physical_plan(
        &self,
        state: &dyn Session,
        scan: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.create_physical_plan(state, scan).await
    }

    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        state: &dyn Session,
        sink: FileSinkConfig,
        order: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let sink = ArrowSink::create(state, sink).await?;
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), order)))
    }

    fn file_source(&self, table_schema: TableSchema) -> Arc<dyn FileSource> {
        self.0.file_source(table_schema)
    }
}

/// The names of columns, as a message shows them.
fn names(schema: &Schema) -> String {
    schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether an error is that of a file in another format, which DataFusion takes for a fault of its own.
fn is_foreign(error: &DataFusionError) -> bool {
    let DataFusionError::Internal(message) = error.find_root() else { return false };
    message.starts_with("Failed to parse Arrow file")
}

/// Makes the Arrow formats of SQL.
#[derive(Debug, Default)]
pub struct ArrowFormatFactory(file_format::arrow::ArrowFormatFactory);

impl GetExt for ArrowFormatFactory {
    fn get_ext(&self) -> String {
        self.0.get_ext()
    }
}

impl FileFormatFactory for ArrowFormatFactory {
    fn create(&self, _: &dyn Session, _: &HashMap<String, String>) -> Result<Arc<dyn FileFormat>> {
        Ok(self.default())
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        Arc::new(ArrowFormat::default())
    }
}

/// DataFusion's sink of Arrow IPC files, with its configuration.
#[derive(Debug)]
pub struct ArrowSink {
    /// DataFusion's sink in an operator over no rows.
    operator: DataSinkExec,
    config: FileSinkConfig,
}

impl ArrowSink {
    /// The sink of this configuration.
    ///
    /// # Errors
    /// The configuration replaces existing rows, which is not supported.
    pub fn new(config: FileSinkConfig) -> Result<Self> {
        let state = SessionStateBuilder::new().build();
        // DataFusion's function neither uses the state nor waits.
        match Self::create(&state, config).now_or_never() {
            Some(sink) => sink,
            None => internal_err!("the sink of Arrow files waits"),
        }
    }

    async fn create(state: &dyn Session, config: FileSinkConfig) -> Result<Self> {
        let no_rows = Arc::new(EmptyExec::new(Arc::clone(config.output_schema())));
        let format = file_format::arrow::ArrowFormat;
        let operator = format.create_writer_physical_plan(no_rows, state, config.clone(), None).await?;
        match operator.downcast_ref::<DataSinkExec>() {
            Some(operator) => Ok(Self { operator: operator.clone(), config }),
            None => internal_err!("{} writes Arrow files", operator.name()),
        }
    }

    /// Where and how the sink writes.
    pub fn config(&self) -> &FileSinkConfig {
        &self.config
    }
}

impl DisplayAs for ArrowSink {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        self.operator.sink().fmt_as(format, f)
    }
}

#[async_trait]
impl DataSink for ArrowSink {
    fn schema(&self) -> &SchemaRef {
        self.operator.sink().schema()
    }

    async fn write_all(&self, rows: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        self.operator.sink().write_all(rows, context).await
    }
}
