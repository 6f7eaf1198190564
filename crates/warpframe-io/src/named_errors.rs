//! Errors of reading that name the file. DataFusion's readers say what is wrong with a page or a record, but not in which of
//! the files of a scan.

use std::any::Any;
use std::fmt::{self, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileScanConfigBuilder, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use warpframe_datafusion::errors::arrow_message;
use warpframe_datafusion::planner::rewrite_scans;

use super::file_error::file_error;
use super::parquet_errors::{parquet_message, without_kind};
use super::standard_input::SCHEME;
use super::store_errors::error_message;
use super::text_input::local_file;

/// The physical rule by which errors of reading name the file: those of decoders and of object stores, and panics, which the
/// Parquet library ends in on some damaged files. It has to be the last one, because others look for the file sources that it
/// wraps.
#[derive(Debug, Default)]
pub struct NameFiles;

impl PhysicalOptimizerRule for NameFiles {
    fn name(&self) -> &str {
        "name_files"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        rewrite_scans(plan, |scan| {
            if scan.file_source().is::<NamedSource>() {
                return Ok(None);
            }
            let source =
                NamedSource { source: Arc::clone(scan.file_source()), store: scan.object_store_url.clone() };
            Ok(Some(FileScanConfigBuilder::from(scan.clone()).with_source(Arc::new(source)).build()))
        })
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A file source whose errors name the file.
struct NamedSource {
    source: Arc<dyn FileSource>,
    store: ObjectStoreUrl,
}

impl FileSource for NamedSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.source.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let files = self.source.create_morselizer(store, config, partition)?;
        Ok(Box::new(NamedMorselizer { files, store: self.store.clone() }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.source.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { source: self.source.with_batch_size(batch_size), store: self.store.clone() })
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.source.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.source.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.source.metrics()
    }

    fn file_type(&self) -> &str {
        self.source.file_type()
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut Formatter) -> fmt::Result {
        self.source.fmt_extra(format, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.source.supports_repartitioning()
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.source.reorder_files(files)
    }

    fn apply_expressions(
        &self,
        apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.source.apply_expressions(apply)
    }
}

#[derive(Debug)]
struct NamedMorselizer {
    files: Box<dyn Morselizer>,
    store: ObjectStoreUrl,
}

impl Morselizer for NamedMorselizer {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let file_name: Arc<str> = name_of(&self.store, &file.object_meta.location).into();
        let planner = named(&file_name, || self.files.plan_file(file))?;
        Ok(Box::new(Named { of: planner, file: file_name }))
    }
}

/// A step of reading a file.
struct Named<T> {
    of: T,
    file: Arc<str>,
}

impl<T: fmt::Debug> fmt::Debug for Named<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Named").field("of", &self.of).field("file", &self.file).finish()
    }
}

impl MorselPlanner for Named<Box<dyn MorselPlanner>> {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { of: planner, file } = *self;
        let Some(mut plan) = named(&file, || planner.plan())? else { return Ok(None) };
        let morsels = plan.take_morsels().into_iter();
        let morsels = morsels.map(|of| Box::new(Named { of, file: Arc::clone(&file) }) as Box<dyn Morsel>);
        let planners = plan.take_ready_planners().into_iter();
        let planners =
            planners.map(|of| Box::new(Named { of, file: Arc::clone(&file) }) as Box<dyn MorselPlanner>);
        let mut wrapped = MorselPlan::new().with_morsels(morsels.collect()).with_planners(planners.collect());
        if let Some(pending) = plan.take_pending_planner() {
            let file = Arc::clone(&file);
            wrapped.set_pending_planner(async move {
                let planner = AssertUnwindSafe(pending.into_future()).catch_unwind().await;
                let of = planner
                    .unwrap_or_else(|panic| Err(panicked(&file, &*panic)))
                    .map_err(|error| with_name("read", &file, error))?;
                Ok(Box::new(Named { of, file }) as Box<dyn MorselPlanner>)
            });
        }
        Ok(Some(wrapped))
    }
}

impl Morsel for Named<Box<dyn Morsel>> {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { of: morsel, file } = *self;
        match named(&file, || Ok(morsel.into_stream())) {
            Ok(batches) => AssertUnwindSafe(batches)
                .catch_unwind()
                .map(move |batch| {
                    let batch = batch.unwrap_or_else(|panic| Err(panicked(&file, &*panic)));
                    batch.map_err(|error| with_name("read", &file, error))
                })
                .boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

/// Runs a step of reading a file. Its error names the file.
fn named<T>(file: &str, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let read = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| Err(panicked(file, &*panic)));
    read.map_err(|error| with_name("read", file, error))
}

/// The name of a file of an object store: a path relative to the working folder if the file is below it, another path, or a URL.
fn name_of(store: &ObjectStoreUrl, location: &ObjectPath) -> String {
    if *store != ObjectStoreUrl::local_filesystem() {
        let is_stream = store.as_str().starts_with(SCHEME);
        return if is_stream { location.to_string() } else { format!("{store}{location}") };
    }
    let path = format!("/{location}");
    let below = std::env::current_dir()
        .ok()
        .and_then(|folder| Path::new(&path).strip_prefix(folder).ok().map(|path| path.display().to_string()));
    below.unwrap_or(path)
}

/// The name of a file of an object store whose URL is not known, which is that of a local file or a location in the store.
pub(super) async fn name_in_store(store: &Arc<dyn ObjectStore>, location: &ObjectPath) -> String {
    match local_file(store, location).await {
        Ok(Some(_)) => name_of(&ObjectStoreUrl::local_filesystem(), location),
        _ => location.to_string(),
    }
}

/// The error of a panic while a file was read.
fn panicked(file: &str, panic: &(dyn Any + Send)) -> DataFusionError {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("no message").replace('\n', " ");
    file_error("read", Path::new(file), format!("it is damaged ({message})"))
}

/// The error with the name of the file and what was done with it, such as `read`, if it is one of reading and not of evaluating an expression in the scan. Execution errors
/// already name the file, or are not about it.
pub(super) fn with_name(action: &str, file: &str, error: DataFusionError) -> DataFusionError {
    match cause_of(file, &error) {
        Some(cause) => file_error(action, Path::new(file), cause),
        None => error,
    }
}

/// What an error of reading says; `None` for other errors.
pub(super) fn cause_of(file: &str, error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::ParquetError(error) => Some(parquet_message(error)),
        DataFusionError::ObjectStore(error) => Some(error_message(error, file)),
        DataFusionError::IoError(error) => Some(error.to_string()),
        DataFusionError::ArrowError(error, _) => match &**error {
            ArrowError::ParquetError(message) => Some(without_kind(message)),
            ArrowError::IpcError(_)
            | ArrowError::JsonError(_)
            | ArrowError::CsvError(_)
            | ArrowError::AvroError(_)
            | ArrowError::ParseError(_)
            | ArrowError::IoError(..) => Some(arrow_message(error)),
            ArrowError::ExternalError(cause) => {
                Some(cause.downcast_ref().map_or_else(|| cause.to_string(), parquet_message))
            }
            _ => None,
        },
        DataFusionError::External(cause) => cause.downcast_ref().map(parquet_message),
        _ => None,
    }
}
