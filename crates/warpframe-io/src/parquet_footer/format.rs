//! DataFusion's Parquet format, which also takes the footers of this module.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{GetExt, Result, Statistics};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory, FileMeta, parquet};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::{LexOrdering, LexRequirement};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt, future, stream};
use object_store::{ObjectMeta, ObjectStore};

use super::reading::{is_footer_error, read_footer};
use crate::named_errors::{name_in_store, with_name};

/// A Parquet format. The schema is inferred from the footers that [`read_footer`] has checked and put into the cache. If
/// DataFusion's format fails to read one later, because it is no longer in the cache, it is read once more in the same way.
#[derive(Debug)]
pub struct TolerantParquetFormat(Arc<dyn FileFormat>);

impl Default for TolerantParquetFormat {
    fn default() -> Self {
        Self(Arc::new(parquet::ParquetFormat::default()))
    }
}

/// Calls a method of DataFusion's format, and once more after the footers of the files were read if it fails because of one.
macro_rules! with_footers {
    ($call:expr, $state:expr, $store:expr, $files:expr) => {
        match $call.await {
            Err(error) if is_footer_error(&error) => {
                Self::read_footers($state, $store, $files).await?;
                $call.await
            }
            inferred => inferred,
        }
    };
}

impl TolerantParquetFormat {
    /// Reads the footers of files into the cache of the session.
    async fn read_footers(
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        files: &[ObjectMeta],
    ) -> Result<()> {
        let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
        let concurrency = state.config_options().execution.meta_fetch_concurrency;
        stream::iter(files)
            .map(|file| async {
                match read_footer(store.as_ref(), file, &cache).await {
                    Ok(_) => Ok(()),
                    Err(error) => {
                        let name = name_in_store(store, &file.location).await;
                        Err(with_name("read as Parquet", &name, error))
                    }
                }
            })
            .boxed() // Without it the future is not `Send` for all lifetimes (rust-lang/rust#64552).
            .buffered(concurrency.into())
            .try_for_each(|()| future::ready(Ok(())))
            .await
    }
}

#[async_trait]
impl FileFormat for TolerantParquetFormat {
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
        Self::read_footers(state, store, files).await?;
        self.0.infer_schema(state, store, files).await
    }

    async fn infer_stats(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        file: &ObjectMeta,
    ) -> Result<Statistics> {
        with_footers!(
            self.0.infer_stats(state, store, Arc::clone(&schema), file),
            state,
            store,
            std::slice::from_ref(file)
        )
    }

    async fn infer_ordering(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        file: &ObjectMeta,
    ) -> Result<Option<LexOrdering>> {
        with_footers!(
            self.0.infer_ordering(state, store, Arc::clone(&schema), file),
            state,
            store,
            std::slice::from_ref(file)
        )
    }

    async fn infer_stats_and_ordering(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        file: &ObjectMeta,
    ) -> Result<FileMeta> {
        with_footers!(
            self.0.infer_stats_and_ordering(state, store, Arc::clone(&schema), file),
            state,
            store,
            std::slice::from_ref(file)
        )
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
        self.0.create_writer_physical_plan(input, state, sink, order).await
    }

    fn file_source(&self, schema: TableSchema) -> Arc<dyn FileSource> {
        self.0.file_source(schema)
    }
}

/// Makes the Parquet formats of SQL.
#[derive(Debug, Default)]
pub struct ParquetFormatFactory(parquet::ParquetFormatFactory);

impl GetExt for ParquetFormatFactory {
    fn get_ext(&self) -> String {
        self.0.get_ext()
    }
}

impl FileFormatFactory for ParquetFormatFactory {
    fn create(&self, state: &dyn Session, options: &HashMap<String, String>) -> Result<Arc<dyn FileFormat>> {
        Ok(Arc::new(TolerantParquetFormat(self.0.create(state, options)?)))
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        Arc::new(TolerantParquetFormat::default())
    }
}
