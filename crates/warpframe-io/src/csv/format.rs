//! CSV as a file format of DataFusion's listing tables, in SQL and in the API.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::config::CsvOptions;
use datafusion::common::{DataFusionError, GetExt, Result, Statistics, internal_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, csv};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileScanConfig, FileScanConfigBuilder, FileSinkConfig, FileSource,
};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;

use super::dialect::CsvDialect;
use super::header::is_header_of;
use super::quoted_newlines::has_quoted_newlines;
use super::scan::CsvScan;
use super::schema::infer_schema;
use super::sink::CsvSink;
use crate::file_type::{DataFormat, FileType};
use crate::notes::Notes;
use crate::text_input::{Input, local_file};

/// CSV files as a format of listing tables.
#[derive(Debug, Default)]
pub struct CsvFormat {
    /// The options of files that are written.
    options: CsvOptions,
    /// Those of files that are read. `has_header` is unset if it is to be detected.
    read_options: CsvOptions,
    /// Whether files whose columns were found in them have a header, if that was detected.
    detected_header: Mutex<Option<bool>>,
    /// Whether files with declared columns have one, by location, size and time of the last change.
    headers_of_declared: Mutex<HashMap<FileVersion, bool>>,
    /// Whether the columns were found in the files, and not declared.
    is_inferred: AtomicBool,
    /// Whether files have line breaks inside of quotes, by location, size and time of the last change.
    quoted_newlines: Mutex<HashMap<FileVersion, bool>>,
}

/// A file with the content that it had at some time.
type FileVersion = (Path, u64, i64);

fn file_version(file: &ObjectMeta) -> FileVersion {
    (file.location.clone(), file.size, file.last_modified.timestamp_micros())
}

/// The note for a file without a header, whose columns have these names.
fn no_header(file: &str, schema: &Schema) -> String {
    const SHOWN: usize = 3;
    let names: Vec<_> = schema.fields().iter().take(SHOWN).map(|field| field.name().as_str()).collect();
    let more = if schema.fields().len() > SHOWN { ", ..." } else { "" };
    format!(
        "'{file}' has no header, by its values: its columns are {}{more}; if its first line is one, set the option header \
         (--csv-header yes, or 'format.has_header' 'true')",
        names.join(", ")
    )
}

impl CsvFormat {
    /// The format with DataFusion's options for files that are written, and for those that are read. Among the latter, an
    /// unset `has_header` means that the header is detected, and `null_value` a text that is NULL where it is not quoted.
    pub fn new(options: CsvOptions, read_options: CsvOptions) -> Self {
        Self { options, read_options, ..Self::default() }
    }

    /// Whether files have a header, where options say it.
    fn has_header(&self, state: &dyn Session) -> Option<bool> {
        let by_session = state.config_options().catalog.has_header;
        // The session's default is true, which is no reason not to look.
        self.read_options.has_header.or_else(|| (!by_session).then_some(false))
    }

    /// The syntax of the files of a scan, whose header is detected unless it is known.
    async fn dialect(&self, state: &dyn Session, scan: &FileScanConfig) -> Result<CsvDialect> {
        let is_inferred = self.is_inferred.load(Ordering::Acquire);
        let mut dialect = CsvDialect::new(&self.read_options, true);
        dialect.has_header = match (self.has_header(state), is_inferred) {
            (Some(has_header), _) => has_header,
            (None, true) => self.detected_header.lock().unwrap_or(true),
            (None, false) => {
                let files = scan.file_groups.iter().flat_map(|group| group.iter());
                let found =
                    self.detect_header(state, &scan.object_store_url, files, scan.file_schema()).await?;
                dialect.is_header_detected = true;
                found.unwrap_or(true)
            }
        };
        Ok(dialect)
    }

    /// Whether files with declared columns have a header, according to the first one with a record; `None` if there is none.
    async fn detect_header<'a>(
        &self,
        state: &dyn Session,
        store: &ObjectStoreUrl,
        files: impl Iterator<Item = &'a PartitionedFile>,
        declared: &Schema,
    ) -> Result<Option<bool>> {
        let mut files: Vec<_> = files.filter(|file| file.object_meta.size > 0).collect();
        files.sort_by(|one, other| one.object_meta.location.cmp(&other.object_meta.location));
        let store = state.runtime_env().object_store(store)?;
        let dialect = CsvDialect::new(&self.read_options, true);
        for file in files {
            let version = file_version(&file.object_meta);
            if let Some(known) = self.headers_of_declared.lock().get(&version) {
                return Ok(Some(*known));
            }
            let mut input = Input::open(&store, &version.0, 0, self.read_options.compression).await?;
            let Some((first, _)) = input.read_first_record(&dialect).await? else { continue };
            let has_header = is_header_of(&first, declared);
            if !has_header {
                Notes::add(state, no_header(&input.name, declared));
            }
            self.headers_of_declared.lock().insert(version, has_header);
            return Ok(Some(has_header));
        }
        Ok(None)
    }

    /// Whether files that are added to a table get a header: as its files have one, or else as the options say.
    async fn writes_header(&self, state: &dyn Session, sink: &FileSinkConfig) -> Result<bool> {
        if let Some(has_header) = self.options.has_header {
            return Ok(has_header);
        }
        let files = match (self.has_header(state), self.is_inferred.load(Ordering::Acquire)) {
            (Some(has_header), _) => Some(has_header),
            (None, true) => *self.detected_header.lock(),
            (None, false) => {
                let files = sink.file_group.files().iter();
                self.detect_header(state, &sink.object_store_url, files, sink.output_schema()).await?
            }
        };
        Ok(files.unwrap_or(state.config_options().catalog.has_header))
    }

    /// Whether threads may read parts of these files, which is so if no file has a line break inside of quotes. Only local
    /// files are searched for them, and only if they are large enough to be split.
    async fn is_splittable(
        &self,
        state: &dyn Session,
        scan: &FileScanConfig,
        dialect: &CsvDialect,
    ) -> Result<bool> {
        if let Some(newlines_in_values) = self.read_options.newlines_in_values {
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
        let version = file_version(file);
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

    fn data_format(&self) -> DataFormat {
        match self.options.delimiter {
            b'\t' => DataFormat::Tsv,
            _ => DataFormat::Csv,
        }
    }

    /// The compression of files that are read.
    fn compression(&self) -> FileCompressionType {
        self.read_options.compression.into()
    }

    /// DataFusion's format with the same options.
    fn datafusion(&self) -> csv::CsvFormat {
        csv::CsvFormat::default().with_options(self.options.clone())
    }
}

#[async_trait]
impl FileFormat for CsvFormat {
    /// That of files which `INSERT` writes.
    fn get_ext(&self) -> String {
        let compression = self.options.compression;
        FileType { format: self.data_format(), compression }.to_string()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        Ok(format!("{}{}", self.data_format().extension(), compression.get_ext()))
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
        let (dialect, options) = (CsvDialect::new(&self.read_options, true), &self.read_options);
        // The first location of a table with several ones tells it for all.
        let has_header = self.has_header(state).or(*self.detected_header.lock());
        let rows = options.schema_infer_max_rec;
        let found = infer_schema(store, objects, &dialect, options.compression, has_header, rows).await?;
        if let Some(file) = &found.detected_in {
            *self.detected_header.lock() = Some(found.has_header);
            if !found.has_header {
                Notes::add(state, no_header(file, &found.schema));
            }
        }
        found.notes.into_iter().for_each(|note| Notes::add(state, note));
        Ok(found.schema)
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
        let dialect = self.dialect(state, &scan).await?;
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
        let has_header = self.writes_header(state, &sink).await?;
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
        let dialect = CsvDialect::new(&self.read_options, true);
        let is_inferred = self.is_inferred.load(Ordering::Acquire);
        Arc::new(CsvScan::new(table_schema, dialect, self.read_options.compression, is_inferred))
    }
}
