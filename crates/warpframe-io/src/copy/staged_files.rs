//! The object store that a sink sees: it can only write, and its objects are files of a local folder.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result, exec_err, internal_err};
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart,
};
use parking_lot::{Mutex, RwLock};
use url::Url;

use super::attempt_file::AttemptFile;
use crate::file_error::file_error;
use crate::unique_id::unique_id;

/// The name in errors of the store.
const NAME: &str = "staged files";

/// The files of a sink in a local folder, under unique names. They are removed when the value is dropped, unless
/// [`finish`](Self::finish) was called.
#[derive(Debug)]
pub(super) struct StagedFiles(Arc<Files>);

/// Every write is one call that blocks its thread, as writes into the page cache do, and none starts after
/// [`close`](Self::close): the folder can be removed then, although tasks of the sink may still exist.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    /// The path of the output, or the folder of an output that is one file. The rest of a path is the name of its file in
    /// the output.
    base: Path,
    /// False after the end; locked for reading during a write.
    is_open: RwLock<bool>,
    created: Mutex<Vec<PathBuf>>,
    complete: Mutex<Vec<AttemptFile>>,
    /// The first error of a write.
    failure: Mutex<Option<String>>,
}

impl StagedFiles {
    /// Writes objects below `base` into an existing folder.
    pub fn new(folder: PathBuf, base: Path) -> Self {
        Self(Arc::new(Files {
            folder,
            base,
            is_open: RwLock::new(true),
            created: Mutex::default(),
            complete: Mutex::default(),
            failure: Mutex::default(),
        }))
    }

    /// A context in which every URL is in this store.
    pub fn context(&self, context: &TaskContext) -> Arc<TaskContext> {
        let stores = Arc::new(OneStore(Arc::new(Store(Arc::clone(&self.0)))));
        let runtime = RuntimeEnv { object_store_registry: stores, ..context.runtime_env().as_ref().clone() };
        Arc::new(TaskContext::new(
            context.task_id(),
            context.session_id(),
            context.session_config().clone(),
            context.scalar_functions().clone(),
            context.higher_order_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            Arc::new(runtime),
        ))
    }

    /// The error of a sink that has failed: that of a write, if one has failed, because some sinks hide it.
    pub fn cause(&self, error: DataFusionError) -> DataFusionError {
        self.0.failure.lock().take().map_or(error, DataFusionError::Execution)
    }

    /// Ends all writing, after the writes that have begun, and returns the complete files, which are kept.
    pub fn finish(self) -> Vec<AttemptFile> {
        self.0.close();
        let complete = std::mem::take(&mut *self.0.complete.lock());
        let kept: HashSet<_> = complete.iter().map(|file| self.0.folder.join(&file.attempt)).collect();
        self.0.created.lock().retain(|path| !kept.contains(path));
        complete
    }
}

impl Drop for StagedFiles {
    fn drop(&mut self) {
        self.0.close();
        for path in self.0.created.lock().drain(..) {
            // What stays is removed with its folder.
            let _ = fs::remove_file(path);
        }
    }
}

impl Files {
    fn close(&self) {
        *self.is_open.write() = false;
    }

    /// Runs a write unless the writing has ended.
    fn write<T>(&self, write: impl FnOnce() -> Result<T>) -> object_store::Result<T> {
        let is_open = self.is_open.read();
        let written = match *is_open {
            true => write().inspect_err(|error| {
                self.failure.lock().get_or_insert_with(|| error.find_root().message().into_owned());
            }),
            false => exec_err!("the query is over"),
        };
        written.map_err(|error| Error::Generic { store: NAME, source: error.into() })
    }

    /// Creates the file of an object.
    fn create(self: &Arc<Self>, location: &Path) -> object_store::Result<StagedFile> {
        self.write(|| {
            let Some(parts) = location.prefix_match(&self.base) else {
                return internal_err!("'{location}' is not in the output");
            };
            let name = parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
            let attempt = format!("attempt-{}", unique_id()?);
            let path = self.folder.join(&attempt);
            let file = File::create_new(&path).map_err(|error| file_error("write", &path, error))?;
            self.created.lock().push(path.clone());
            Ok(StagedFile { files: Arc::clone(self), name: AttemptFile { attempt, file: name }, path, file })
        })
    }
}

/// A file that is being written.
#[derive(Debug)]
struct StagedFile {
    files: Arc<Files>,
    name: AttemptFile,
    path: PathBuf,
    file: File,
}

impl StagedFile {
    fn write(&mut self, data: &PutPayload) -> object_store::Result<()> {
        let (file, path) = (&mut self.file, &self.path);
        self.files.write(|| {
            let mut parts = data.iter();
            parts.try_for_each(|part| file.write_all(part)).map_err(|error| file_error("write", path, error))
        })
    }

    fn finish(&self) -> object_store::Result<PutResult> {
        self.files.write(|| {
            self.file.sync_all().map_err(|error| file_error("write", &self.path, error))?;
            self.files.complete.lock().push(self.name.clone());
            Ok(PutResult { e_tag: None, version: None })
        })
    }
}

#[async_trait]
impl MultipartUpload for StagedFile {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        // In the call, not in its future: parts are put in their order, and may be awaited in any.
        let written = self.write(&data);
        Box::pin(std::future::ready(written))
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        self.finish()
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        Ok(())
    }
}

fn unsupported(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: NAME.to_owned() }
}

/// The files as an object store.
#[derive(Debug)]
struct Store(Arc<Files>);

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        _: PutOptions,
    ) -> object_store::Result<PutResult> {
        let mut file = self.0.create(location)?;
        file.write(&payload)?;
        file.finish()
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(self.0.create(location)?))
    }

    async fn get_opts(&self, _: &Path, _: GetOptions) -> object_store::Result<GetResult> {
        Err(unsupported("get"))
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        stream::iter([Err(unsupported("delete"))]).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        stream::iter([Err(unsupported("list"))]).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        Err(unsupported("list"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(unsupported("copy"))
    }
}

/// A registry with one store for all URLs.
#[derive(Debug)]
struct OneStore(Arc<dyn ObjectStore>);

impl ObjectStoreRegistry for OneStore {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, _: &Url) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::clone(&self.0))
    }
}
