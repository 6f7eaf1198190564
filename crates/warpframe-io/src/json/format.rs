//! JSON as a file format of DataFusion's listing tables.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::config::{ConfigFileType, JsonOptions};
use datafusion::common::file_options::json_writer::JsonWriterOptions;
use datafusion::common::{GetExt, Result, Statistics, internal_err, plan_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory, json};
use datafusion::datasource::physical_plan::{
    FileScanConfig, FileScanConfigBuilder, FileSinkConfig, FileSource,
};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;
use object_store::{ObjectMeta, ObjectStore};

use super::opener::is_splittable;
use super::scan::JsonScan;
use super::schema::infer_schema;
use super::sink::JsonSink;
use crate::file_type::{Compression, DataFormat};
use crate::json_writer::{NonFinite, check_json_names};

/// JSON files as a format of listing tables.
#[derive(Debug)]
pub struct JsonFormat {
    options: JsonOptions,
    non_finite: NonFinite,
    extension: &'static str,
}

impl Default for JsonFormat {
    fn default() -> Self {
        Self::reading(Compression::UNCOMPRESSED)
    }
}

impl JsonFormat {
    /// The format of files that are read with this compression.
    pub fn reading(compression: Compression) -> Self {
        let options = JsonOptions { compression, ..JsonOptions::default() };
        Self { options, non_finite: NonFinite::default(), extension: DataFormat::Json.extension() }
    }

    /// Whether threads may read parts of these files, which is so if each has an object per line. Only local files are looked
    /// at, and only if they are large enough to be split.
    async fn is_splittable(&self, state: &dyn Session, scan: &FileScanConfig) -> Result<bool> {
        let optimizer = &state.config_options().optimizer;
        let files = || scan.file_groups.iter().flat_map(|group| group.iter());
        let bytes: u64 = files().map(|file| file.object_meta.size).sum();
        let would_split = optimizer.repartition_file_scans
            && state.config().target_partitions() > 1
            && bytes >= optimizer.repartition_file_min_size as u64
            && scan.limit.is_none()
            && !self.options.compression.is_compressed();
        if !would_split {
            return Ok(false);
        }
        let store = state.runtime_env().object_store(&scan.object_store_url)?;
        for file in files() {
            if !is_splittable(&store, &file.object_meta.location).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl FileFormat for JsonFormat {
    /// That of files which `INSERT` writes.
    fn get_ext(&self) -> String {
        let compression = FileCompressionType::from(self.options.compression);
        format!("{}{}", self.extension, compression.get_ext())
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        Ok(format!("{}{}", self.extension, compression.get_ext()))
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        Some(self.options.compression.into())
    }

    async fn infer_schema(
        &self,
        _: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        infer_schema(store, objects, self.options.compression, self.options.schema_infer_max_rec).await
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
        let Some(source) = scan.file_source().downcast_ref::<JsonScan>() else {
            return internal_err!("a JSON format scans {}", scan.file_source().file_type());
        };
        let is_splittable = self.is_splittable(state, &scan).await?;
        let source = Arc::new(source.clone().with_splits(is_splittable));
        let scan = FileScanConfigBuilder::from(scan)
            .with_file_compression_type(self.options.compression.into())
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
        check_json_names(sink.output_schema())?;
        if sink.insert_op == InsertOp::Append {
            let sink = json::JsonSink::new(sink, JsonWriterOptions::try_from(&self.options)?);
            let sink = JsonSink::from_datafusion(&sink, self.non_finite);
            return Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), order)));
        }
        let format = json::JsonFormat::default().with_options(self.options.clone());
        format.create_writer_physical_plan(input, state, sink, order).await
    }

    fn file_source(&self, table_schema: TableSchema) -> Arc<dyn FileSource> {
        Arc::new(JsonScan::new(table_schema, self.options.compression))
    }
}

/// Makes the JSON formats of SQL, under one of their names.
#[derive(Debug)]
pub struct JsonFormatFactory(&'static str);

impl JsonFormatFactory {
    /// The names in SQL, which are extensions as well.
    pub const NAMES: [&str; 3] = ["json", "ndjson", "jsonl"];

    /// The factories under all names.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::NAMES.into_iter().map(Self)
    }
}

impl GetExt for JsonFormatFactory {
    fn get_ext(&self) -> String {
        self.0.to_owned()
    }
}

impl FileFormatFactory for JsonFormatFactory {
    fn create(&self, state: &dyn Session, options: &HashMap<String, String>) -> Result<Arc<dyn FileFormat>> {
        let mut table = state.default_table_options();
        table.set_config_format(ConfigFileType::JSON);
        // The option that DataFusion does not have.
        let is_non_finite = |key: &str| key.trim_start_matches("format.").eq_ignore_ascii_case("non_finite");
        let (ours, others): (HashMap<_, _>, HashMap<_, _>) =
            options.clone().into_iter().partition(|(key, _)| is_non_finite(key));
        let mut non_finite = NonFinite::default();
        for (key, value) in ours {
            match NonFinite::from_name(&value) {
                Some(found) => non_finite = found,
                None => return plan_err!("the option '{key}' is 'string' or 'null', not '{value}'"),
            }
        }
        table.alter_with_string_hash_map(&others)?;
        Ok(Arc::new(JsonFormat { options: table.json, non_finite, extension: self.0 }))
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        Arc::new(JsonFormat::default())
    }
}
