//! The object store that a sink sees: it can only write, and its objects are files of a local folder.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result};
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

use crate::file_error::file_error;

/// The name in errors of the store.
const NAME: &str = "staged files";

/// A local folder that a sink writes its files into.
///
/// Every write is one call that blocks its thread, as writes into the page cache do, and none starts after
/// [`close`](Self::close): the folder can be removed then, although tasks of the sink may still exist.
#[derive(Debug)]
pub(super) struct StagedFiles {
    folder: PathBuf,
    /// The path of the output, or the folder of an output that is one file. The rest of a path is the name of its file in
    /// the folder.
    base: Path,
    /// False after the end; locked for reading during a write.
    is_open: RwLock<bool>,
    /// The names of complete files, with '/' between their parts.
    complete: Mutex<BTreeSet<String>>,
}

impl StagedFiles {
    /// Writes objects below `base` into an existing folder.
    pub fn new(folder: PathBuf, base: Path) -> Arc<Self> {
        Arc::new(Self { folder, base, is_open: RwLock::new(true), complete: Mutex::default() })
    }

    /// A context in which every URL is in this store.
    pub fn context(self: &Arc<Self>, context: &TaskContext) -> Arc<TaskContext> {
        let stores = Arc::new(OneStore(Arc::new(Store(Arc::clone(self)))));
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

    /// Ends all writing, after the writes that have begun. Returns the names of the complete files, with '/' between their
    /// parts.
    pub fn close(&self) -> BTreeSet<String> {
        *self.is_open.write() = false;
        std::mem::take(&mut *self.complete.lock())
    }

    /// Creates the file of an object.
    fn create(self: &Arc<Self>, location: &Path) -> object_store::Result<StagedFile> {
        let is_open = self.is_open.read();
        if !*is_open {
            return Err(ended());
        }
        let Some(parts) = location.prefix_match(&self.base) else {
            return Err(failed(DataFusionError::Internal(format!("'{location}' is not in the output"))));
        };
        let parts: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
        let path = self.folder.join(parts.iter().collect::<PathBuf>());
        let unwritable = |error| failed(file_error("write", &path, error));
        if let Some(folder) = path.parent().filter(|folder| *folder != self.folder) {
            fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let file = File::create_new(&path).map_err(unwritable)?;
        Ok(StagedFile { files: Arc::clone(self), name: parts.join("/"), path, file })
    }
}

/// A file that is being written.
#[derive(Debug)]
struct StagedFile {
    files: Arc<StagedFiles>,
    name: String,
    path: PathBuf,
    file: File,
}

impl StagedFile {
    fn write(&mut self, data: &PutPayload) -> object_store::Result<()> {
        let is_open = self.files.is_open.read();
        if !*is_open {
            return Err(ended());
        }
        for bytes in data {
            self.file.write_all(bytes).map_err(|error| failed(file_error("write", &self.path, error)))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> object_store::Result<PutResult> {
        let is_open = self.files.is_open.read();
        if !*is_open {
            return Err(ended());
        }
        self.file.sync_all().map_err(|error| failed(file_error("write", &self.path, error)))?;
        self.files.complete.lock().insert(self.name.clone());
        Ok(PutResult { e_tag: None, version: None })
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

fn failed(error: DataFusionError) -> Error {
    Error::Generic { store: NAME, source: error.into() }
}

fn ended() -> Error {
    failed(DataFusionError::Execution("the query is over".to_owned()))
}

fn unsupported(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: NAME.to_owned() }
}

/// The files as an object store.
#[derive(Debug)]
struct Store(Arc<StagedFiles>);

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
