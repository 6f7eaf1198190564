//! Outputs in an object store. There is no rename there, and none is needed: an object appears whole or not at
//! all. What nobody publishes is removed, also when its writer is dropped.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};

use crate::farewells;
use crate::files::file_error;
use crate::stores::describe;

/// The size of the parts in which files are sent. A store takes 10,000 of them: objects up to 160 GB.
const PART_BYTES: usize = 16 * 1024 * 1024;

/// Parts, and objects, that are on their way at a time.
const AT_A_TIME: usize = 4;

/// Whether an output or an input lies in an object store.
pub(crate) fn is_url(name: &str) -> bool {
    name.contains("://")
}

/// A place in an object store: one object, or all below a path.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    /// As the user has named it.
    url: String,
}

impl Bucket {
    /// The place with this URL.
    ///
    /// # Errors
    /// It is no URL of an object store that can be reached.
    pub fn new(url: &str, runtime: &RuntimeEnv) -> Result<Self> {
        let place = ListingTableUrl::parse(url)?;
        if place.prefix().as_ref().is_empty() {
            return exec_err!("'{url}' is a whole bucket: name a place in it");
        }
        let store = runtime.object_store(place.object_store())?;
        Ok(Self { store, path: place.prefix().clone(), url: url.trim_end_matches('/').to_owned() })
    }

    /// The place of this name below this one.
    pub fn child(&self, name: &str) -> Self {
        let (path, url) = (self.path.clone().join(name), format!("{}/{name}", self.url));
        Self { store: Arc::clone(&self.store), path, url }
    }

    /// The place of this name beside this one.
    pub fn beside(&self, name: &str) -> Self {
        let parent: ObjectPath = self.path.parts().take(self.path.parts_count().saturating_sub(1)).collect();
        let url = self.url.rsplit_once('/').map_or("", |(parent, _)| parent);
        Self { store: Arc::clone(&self.store), path: parent.join(name), url: format!("{url}/{name}") }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The objects that are at the place or below it.
    pub async fn objects(&self) -> Result<Vec<ObjectPath>> {
        let below = self.store.list(Some(&self.path)).map_ok(|object| object.location);
        let mut objects: Vec<_> = below.try_collect().await.map_err(|error| self.failed("read", &error))?;
        if self.exists().await? {
            objects.push(self.path.clone());
        }
        Ok(objects)
    }

    /// Whether the place itself is one of the objects.
    pub fn is_one_of(&self, objects: &[ObjectPath]) -> bool {
        objects.contains(&self.path)
    }

    /// Whether all objects are files that a folder of an output could have.
    pub fn only_parquet_below(&self, objects: &[ObjectPath]) -> bool {
        objects.iter().all(|object| {
            let mut parts = object.prefix_match(&self.path).into_iter().flatten();
            let (name, deeper) = (parts.next(), parts.next());
            deeper.is_none() && name.is_some_and(|name| name.as_ref().ends_with(".parquet"))
        })
    }

    /// Sends a file to this place.
    pub async fn upload(&self, file: &Path) -> Result<()> {
        let unreadable = |error: std::io::Error| file_error("read", file, error);
        let mut source = File::open(file).map_err(unreadable)?;
        let mut part = vec![0; PART_BYTES];
        let upload = self.store.put_multipart(&self.path).await;
        let upload = upload.map_err(|error| self.failed("write", &error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        loop {
            // Reading blocks this task's thread for a moment, as writing the file has.
            let read = source.read(&mut part).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            upload.write(&part[..read]);
            if let Err(error) = upload.wait_for_capacity(AT_A_TIME).await {
                let _ = upload.abort().await;
                return Err(self.failed("write", &error));
            }
        }
        upload.finish().await.map_err(|error| self.failed("write", &error))?;
        Ok(())
    }

    /// Fetches the object at this place into a file.
    pub async fn download(&self, file: &Path) -> Result<()> {
        let found = self.store.get(&self.path).await.map_err(|error| self.failed("read", &error))?;
        let mut parts = found.into_stream();
        let mut target = File::create(file).map_err(|error| file_error("create", file, error))?;
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| self.failed("read", &error))?;
            std::io::Write::write_all(&mut target, &part)
                .map_err(|error| file_error("write", file, error))?;
        }
        Ok(())
    }

    /// Makes an empty object at this place.
    pub async fn mark(&self) -> Result<()> {
        let marked = self.store.put(&self.path, PutPayload::new()).await;
        marked.map(|_| ()).map_err(|error| self.failed("write", &error))
    }

    /// Whether there is an object at this place.
    pub async fn exists(&self) -> Result<bool> {
        match self.store.head(&self.path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    /// Copies the object at another place to this one, inside of the store.
    pub async fn copy_from(&self, other: &Self) -> Result<()> {
        let copied = self.store.copy(&other.path, &self.path).await;
        copied.map_err(|error| self.failed("write", &error))
    }

    /// Makes the objects at these places appear, each by its own task; `replaced` are the ones that the output had
    /// before. If one fails, the others are removed.
    pub async fn publish<F: Future<Output = Result<()>>>(
        &self,
        objects: impl IntoIterator<Item = (Self, F)>,
        replaced: Vec<ObjectPath>,
    ) -> Result<()> {
        let mut unpublished = Unpublished { bucket: self.clone(), objects: Vec::new() };
        let mut writes = Vec::new();
        for (place, write) in objects {
            unpublished.objects.push(place.path.clone());
            writes.push(write);
        }
        let published: Result<()> = stream::iter(writes).buffer_unordered(AT_A_TIME).try_collect().await;
        if let Err(error) = published {
            let objects = std::mem::take(&mut unpublished.objects);
            self.remove(objects.into_iter().filter(|object| !replaced.contains(object)).collect()).await;
            return Err(error);
        }
        let objects = std::mem::take(&mut unpublished.objects);
        self.remove(replaced.into_iter().filter(|object| !objects.contains(object)).collect()).await;
        Ok(())
    }

    /// Removes objects; what cannot be removed is said in the log.
    pub async fn remove(&self, objects: Vec<ObjectPath>) {
        let objects = stream::iter(objects.into_iter().map(Ok)).boxed();
        let mut removed = self.store.delete_stream(objects);
        while let Some(removed) = removed.next().await {
            match removed {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => log::warn!("an object below {} was not removed: {error}", self.url),
            }
        }
    }

    fn failed(&self, action: &str, error: &object_store::Error) -> DataFusionError {
        DataFusionError::Execution(format!("cannot {action} '{}': {}", self.url, describe(error)))
    }
}

/// Objects that are being written, and removed if that is given up.
struct Unpublished {
    bucket: Bucket,
    objects: Vec<ObjectPath>,
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        if !self.objects.is_empty() {
            let (bucket, objects) = (self.bucket.clone(), std::mem::take(&mut self.objects));
            farewells::say(async move { bucket.remove(objects).await });
        }
    }
}

/// The object that stands for a place for attempts being open. It is the first to be removed: an attempt that ends
/// later, when nobody looks for it any more, finds it gone and removes itself.
const OPEN: &str = "open";

/// A place for files that may or may not become parts of an output. What is there is removed with the value.
#[derive(Debug)]
pub(super) struct AttemptsInBucket {
    place: Option<Bucket>,
}

impl AttemptsInBucket {
    /// A new place beside an output.
    pub async fn beside(output: &Bucket) -> Result<Self> {
        let name = format!(".warpframe-attempts-{}", ballista_core::ids::new_instance_id());
        let place = output.beside(&name);
        place.child(OPEN).mark().await?;
        Ok(Self { place: Some(place) })
    }

    /// Sends a file to such a place, under a name of its own.
    ///
    /// # Errors
    /// The place has been removed in the meantime; then the file is, too.
    pub async fn add(place: &Bucket, file: &Path) -> Result<String> {
        let name = format!("attempt-{}.parquet", ballista_core::ids::new_instance_id());
        let attempt = place.child(&name);
        // Also where the task is cancelled on its way.
        let mut unpublished = Unpublished { objects: vec![attempt.path.clone()], bucket: attempt };
        unpublished.bucket.upload(file).await?;
        if !place.child(OPEN).exists().await? {
            return exec_err!("cannot write '{}': the query is over", place.url);
        }
        unpublished.objects.clear();
        Ok(name)
    }

    /// The place, until it is removed.
    pub fn place(&self) -> Option<&Bucket> {
        self.place.as_ref()
    }

    /// Removes what is there.
    pub async fn remove(mut self) {
        if let Some(place) = self.place.take() {
            clear(place).await;
        }
    }
}

impl Drop for AttemptsInBucket {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            farewells::say(clear(place));
        }
    }
}

async fn clear(place: Bucket) {
    place.remove(vec![place.child(OPEN).path]).await;
    match place.objects().await {
        Ok(objects) => place.remove(objects).await,
        Err(error) => log::warn!("objects below {} were not removed: {error}", place.url),
    }
}
