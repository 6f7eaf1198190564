//! CSV as a file format of DataFusion's listing tables, in SQL and in the API.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::config::{ConfigFileType, CsvOptions};
use datafusion::common::{DataFusionError, GetExt, Result, Statistics, internal_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory, csv};
use datafusion::datasource::physical_plan::{
    FileScanConfig, FileScanConfigBuilder, FileSinkConfig, FileSource,
};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;

use super::dialect::CsvDialect;
use super::input::local_file;
use super::quoted_newlines::has_quoted_newlines;
use super::scan::CsvScan;
use super::schema::infer_schema;
use super::sink::CsvSink;

/// CSV files as a format of listing tables.
#[derive(Debug, Default)]
pub struct CsvFormat {
    options: CsvOptions,
    /// Whether the columns were found in the files, and not declared.
    is_inferred: AtomicBool,
    /// Whether files have line breaks inside of quotes, by location, size and time of the last change.
    quoted_newlines: Mutex<HashMap<FileVersion, bool>>,
}

/// A file with the content that it had at some time.
type FileVersion = (Path, u64, i64);

impl CsvFormat {
    /// The format with DataFusion's options.
    pub fn new(options: CsvOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// The format of files with a header, whatever the session's default is.
    pub fn with_header() -> Self {
        Self::new(CsvOptions { has_header: Some(true), ..CsvOptions::default() })
    }

    fn dialect(&self, state: &dyn Session) -> CsvDialect {
        CsvDialect::new(&self.options, state.config_options().catalog.has_header)
    }

    /// Whether threads may read parts of these files, which is so if no file has a line break inside of quotes. Only local
    /// files are searched for them, and only if they are large enough to be split.
    async fn is_splittable(
        &self,
        state: &dyn Session,
        scan: &FileScanConfig,
        dialect: &CsvDialect,
    ) -> Result<bool> {
        if let Some(newlines_in_values) = self.options.newlines_in_values {
            return Ok(!newlines_in_values);
        }
        let optimizer = &state.config_options().optimizer;
        let files = || scan.file_groups.iter().flat_map(|group| group.iter());
        let bytes: u64 = files().map(|file| file.object_meta.size).sum();
        let would_split = optimizer.repartition_file_scans
            && state.config().target_partitions() > 1
            && bytes >= optimizer.repartition_file_min_size as u64
            && scan.limit.is_none()
            && self.compression() == FileCompressionType::UNCOMPRESSED;
        if !would_split {
            return Ok(false);
        }
        let store = state.runtime_env().object_store(&scan.object_store_url)?;
        for file in files() {
            if self.has_quoted_newlines(&store, &file.object_meta, dialect).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a file has a line break inside of quotes, or is not local, so that it would have to be downloaded to know.
    async fn has_quoted_newlines(
        &self,
        store: &Arc<dyn ObjectStore>,
        file: &ObjectMeta,
        dialect: &CsvDialect,
    ) -> Result<bool> {
        let version = (file.location.clone(), file.size, file.last_modified.timestamp_micros());
        if let Some(known) = self.quoted_newlines.lock().get(&version) {
            return Ok(*known);
        }
        let Some(local) = local_file(store, &file.location).await? else { return Ok(true) };
        let dialect = dialect.clone();
        let found = tokio::task::spawn_blocking(move || has_quoted_newlines(local, &dialect)).await;
        let found = found.map_err(|error| DataFusionError::External(error.into()))?;
        let found = found.map_err(|error| {
            DataFusionError::Execution(format!("cannot read '/{}': {error}", file.location))
        })?;
        self.quoted_newlines.lock().insert(version, found);
        Ok(found)
    }

    fn compression(&self) -> FileCompressionType {
        self.options.compression.into()
    }

    /// DataFusion's format with the same options.
    fn datafusion(&self) -> csv::CsvFormat {
        csv::CsvFormat::default().with_options(self.options.clone())
    }
}

#[async_trait]
impl FileFormat for CsvFormat {
    fn get_ext(&self) -> String {
        CsvFormatFactory.get_ext()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        Ok(format!("{}{}", self.get_ext(), compression.get_ext()))
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        Some(self.compression())
    }

    async fn infer_schema(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        self.is_inferred.store(true, Ordering::Release);
        let rows = self.options.schema_infer_max_rec;
        infer_schema(store, objects, &self.dialect(state), self.options.compression, rows).await
    }

    async fn infer_stats(
        &self,
        _: &dyn Session,
        _: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        _: &ObjectMeta,
    ) -> Result<Statistics> {
        Ok(Statistics::new_unknown(&schema))
    }

    async fn create_physical_plan(
        &self,
        state: &dyn Session,
        scan: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(source) = scan.file_source().downcast_ref::<CsvScan>() else {
            return internal_err!("a CSV format scans {}", scan.file_source().file_type());
        };
        let dialect = self.dialect(state);
        let is_splittable = self.is_splittable(state, &scan, &dialect).await?;
        let source = Arc::new(source.with_dialect(dialect, is_splittable));
        let scan = FileScanConfigBuilder::from(scan)
            .with_file_compression_type(self.compression())
            .with_source(source)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }

    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        state: &dyn Session,
        sink: FileSinkConfig,
        order: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let has_header = self.options.has_header.unwrap_or(state.config_options().catalog.has_header);
        let options = self.options.clone().with_has_header(has_header);
        if sink.insert_op == InsertOp::Append
            && let Some(sink) = CsvSink::try_new(sink.clone(), &options)?
        {
            return Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), order)));
        }
        self.datafusion().create_writer_physical_plan(input, state, sink, order).await
    }

    fn file_source(&self, table_schema: TableSchema) -> Arc<dyn FileSource> {
        // Options of the session are added by `create_physical_plan`.
        let dialect = CsvDialect::new(&self.options, true);
        let is_inferred = self.is_inferred.load(Ordering::Acquire);
        Arc::new(CsvScan::new(table_schema, dialect, self.options.compression, is_inferred))
    }
}

/// Makes [`CsvFormat`]s for SQL.
#[derive(Debug, Default)]
pub struct CsvFormatFactory;

impl GetExt for CsvFormatFactory {
    fn get_ext(&self) -> String {
        "csv".to_owned()
    }
}

impl FileFormatFactory for CsvFormatFactory {
    fn create(&self, state: &dyn Session, options: &HashMap<String, String>) -> Result<Arc<dyn FileFormat>> {
        let mut table = state.default_table_options();
        table.set_config_format(ConfigFileType::CSV);
        table.alter_with_string_hash_map(options)?;
        Ok(Arc::new(CsvFormat::new(table.csv)))
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        Arc::new(CsvFormat::default())
    }
}
