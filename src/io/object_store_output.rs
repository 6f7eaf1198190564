//! Outputs in an object store. There is no rename there, and none is needed: an object appears whole or not at all.
//!
//! All objects of an output are sent before the first of them appears, under names that the old output does not have;
//! the old objects are removed when all new ones are there. What is given up before that is taken back, and the old
//! output stays as it was.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use super::background_cleanup::{spawn_cleanup, to_its_end};
use super::object_stores::describe;
use super::table_files::file_error;

/// The size of the parts in which files are sent. A store takes 10,000 of them: objects up to 160 GB.
const PART_BYTES: usize = 16 * 1024 * 1024;

/// Parts, and objects, that are on their way at a time.
const AT_A_TIME: usize = 4;

/// Whether an output or an input lies in an object store.
pub(crate) fn is_url(name: &str) -> bool {
    name.contains("://")
}

/// Objects that a message names before it counts the others.
const MOST_NAMED: usize = 5;

/// A place in an object store: one object, or all below a path.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The URL of the store, with a '/' at its end.
    root: String,
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
        let root = place.object_store().as_str().to_owned();
        Ok(Self { store, root, path: place.prefix().clone(), url: url.trim_end_matches('/').to_owned() })
    }

    /// The place of this name below this one.
    pub fn child(&self, name: &str) -> Self {
        let (path, url) = (self.path.clone().join(name), format!("{}/{name}", self.url));
        Self { path, url, ..self.clone() }
    }

    /// The place of this name beside this one.
    pub fn beside(&self, name: &str) -> Self {
        let parent: ObjectPath = self.path.parts().take(self.path.parts_count().saturating_sub(1)).collect();
        let url = self.url.rsplit_once('/').map_or("", |(parent, _)| parent);
        Self { path: parent.join(name), url: format!("{url}/{name}"), ..self.clone() }
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

    /// Sends a file. Nothing of it appears at this place before it is completed.
    async fn send(&self, file: &Path) -> Result<PendingUpload> {
        let unreadable = |error: std::io::Error| file_error("read", file, error);
        let mut source = File::open(file).map_err(unreadable)?;
        let place = self.clone();
        // The store may begin an upload for somebody who has gone meanwhile; it is aborted then.
        let mut pending = to_its_end(async move {
            let upload = place.store.put_multipart(&place.path).await;
            let upload = upload.map_err(|error| place.failed("write", &error))?;
            Ok(PendingUpload { place, upload: Some(upload) })
        })
        .await?;
        let Some(upload) = &mut pending.upload else { return Ok(pending) };
        let (mut parts, mut any) = (FuturesUnordered::new(), false);
        loop {
            // Reading blocks this task's thread for a moment, as writing the file has.
            let mut part = Vec::with_capacity(PART_BYTES);
            (&mut source).take(PART_BYTES as u64).read_to_end(&mut part).map_err(unreadable)?;
            let is_last = part.len() < PART_BYTES;
            // An object of no bytes has a part too.
            if !part.is_empty() || !any {
                parts.push(upload.put_part(part.into()));
                any = true;
            }
            while let Some(sent) = if is_last || parts.len() >= AT_A_TIME { parts.next().await } else { None }
            {
                sent.map_err(|error| self.failed("write", &error))?;
            }
            if is_last {
                break;
            }
        }
        drop(parts);
        Ok(pending)
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

    /// Makes files the objects at these places, which replace others.
    ///
    /// # Errors
    /// A file cannot be sent: then there is what was there before. Or an object that is replaced cannot be removed: the
    /// error says what lies where.
    pub async fn publish_files(
        &self,
        files: Vec<(Self, std::path::PathBuf)>,
        replaced: Vec<ObjectPath>,
    ) -> Result<()> {
        let sent = files.into_iter().map(|(place, file)| async move {
            let pending = place.send(&file).await?;
            Ok::<_, DataFusionError>((place, pending.complete()))
        });
        let sent: Vec<_> = stream::iter(sent).buffer_unordered(AT_A_TIME).try_collect().await?;
        self.publish(sent, replaced).await
    }

    /// Makes copies of other objects the objects at these places, which replace others.
    ///
    /// # Errors
    /// As [`publish_files`](Self::publish_files).
    pub async fn publish_copies(&self, copies: Vec<(Self, Self)>, replaced: Vec<ObjectPath>) -> Result<()> {
        let copies = copies.into_iter().map(|(place, source)| {
            let target = place.clone();
            (place, async move { target.copy_from(&source).await })
        });
        self.publish(copies.collect(), replaced).await
    }

    /// Makes the objects at these places appear, each by its own task, and removes those that they replace.
    async fn publish<F: Future<Output = Result<()>> + Send + 'static>(
        &self,
        objects: Vec<(Self, F)>,
        replaced: Vec<ObjectPath>,
    ) -> Result<()> {
        let waiting = Waiting::default();
        // A request that is on its way is never given up: nobody would know what has become of it.
        to_its_end(self.clone().replace(objects, replaced, Arc::clone(&waiting.given_up))).await
    }

    async fn replace<F: Future<Output = Result<()>>>(
        self,
        objects: Vec<(Self, F)>,
        replaced: Vec<ObjectPath>,
        given_up: Arc<AtomicBool>,
    ) -> Result<()> {
        let (mut begun, mut failure) = (BTreeSet::new(), None);
        let mut writes = stream::iter(objects)
            .take_while(|_| std::future::ready(!given_up.load(Ordering::Acquire)))
            .map(|(place, write)| async move { (place.path, write.await) })
            .buffer_unordered(AT_A_TIME);
        while let Some((place, written)) = writes.next().await {
            begun.insert(place);
            if let Err(error) = written {
                given_up.store(true, Ordering::Release);
                failure.get_or_insert(error);
            }
        }
        if given_up.load(Ordering::Acquire) {
            // An object in the place of an old one cannot be told from it, and is the only one then. What was not begun
            // can be somebody else's.
            let ours = begun.into_iter().filter(|place| !replaced.contains(place));
            let taken_back = self.remove(ours.collect()).await;
            return match failure {
                Some(error) => Err(with_cleanup(error, taken_back)),
                None => taken_back,
            };
        }
        let old = replaced.into_iter().filter(|object| !begun.contains(object));
        self.remove(old.collect()).await.map_err(|error| {
            let left = error.find_root().message().into_owned();
            DataFusionError::Execution(format!(
                "the new output in '{}' is whole, but objects of the old one lie beside it: {left}",
                self.url
            ))
        })
    }

    /// Removes objects.
    ///
    /// # Errors
    /// Some cannot be removed: the error names them.
    async fn remove(&self, objects: Vec<ObjectPath>) -> Result<()> {
        let mut left: BTreeSet<_> = objects.iter().cloned().collect();
        let mut cause = None;
        let mut removed = self.store.delete_stream(stream::iter(objects.into_iter().map(Ok)).boxed());
        while let Some(removed) = removed.next().await {
            match removed {
                Ok(object) => {
                    left.remove(&object);
                }
                Err(object_store::Error::NotFound { path, .. }) => {
                    left.remove(&ObjectPath::from(path));
                }
                Err(error) => cause = Some(describe(&error)),
            }
        }
        let Some(cause) = cause.filter(|_| !left.is_empty()) else { return Ok(()) };
        let names = left.iter().take(MOST_NAMED).map(|object| format!("'{}{object}'", self.root));
        let names = names.collect::<Vec<_>>().join(", ");
        match left.len().saturating_sub(MOST_NAMED) {
            0 => exec_err!("cannot remove {names}: {cause}"),
            more => exec_err!("cannot remove {names} and {more} more: {cause}"),
        }
    }

    fn failed(&self, action: &str, error: &object_store::Error) -> DataFusionError {
        DataFusionError::Execution(format!("cannot {action} '{}': {}", self.url, describe(error)))
    }
}

/// An error, and what its clean-up has left.
pub(crate) fn with_cleanup(error: DataFusionError, cleanup: Result<()>) -> DataFusionError {
    match cleanup {
        Ok(()) => error,
        Err(left) => {
            let (error, left) = (error.find_root().message(), left.find_root().message());
            DataFusionError::Execution(format!("{error}; and afterwards: {left}"))
        }
    }
}

/// Somebody who waits for a change. Dropped, the change is given up as far as it has not begun.
#[derive(Default)]
struct Waiting {
    given_up: Arc<AtomicBool>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Release);
    }
}

/// A file that has been sent, or is being sent, and does not appear yet. Dropped before it is completed, it is aborted.
struct PendingUpload {
    place: Bucket,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl PendingUpload {
    /// Makes the object appear.
    async fn complete(mut self) -> Result<()> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        upload.complete().await.map_err(|error| self.place.failed("write", &error))?;
        self.upload = None;
        Ok(())
    }
}

impl Drop for PendingUpload {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            let place = self.place.clone();
            spawn_cleanup(async move {
                match upload.abort().await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                    Err(error) => Err(place.failed("abort the upload to", &error)),
                }
            });
        }
    }
}

/// The object that stands for a place for attempts being open. It is the first to be removed: an attempt that ends
/// later, when nobody looks for it any more, finds it gone and removes itself.
const OPEN: &str = "open";

/// A place for files that may or may not become parts of an output. What is there is removed with the value.
#[derive(Debug)]
pub(crate) struct AttemptsInBucket {
    place: Option<Bucket>,
}

impl AttemptsInBucket {
    /// A new place beside an output.
    pub async fn beside(output: &Bucket) -> Result<Self> {
        let name = format!(".warpframe-attempts-{}", ballista_core::ids::new_instance_id());
        let place = output.beside(&name);
        let attempts = Self { place: Some(place.clone()) };
        place.child(OPEN).mark().await?;
        Ok(attempts)
    }

    /// Sends a file to such a place, under a name of its own.
    ///
    /// # Errors
    /// The place has been removed in the meantime; then the file is, too.
    pub async fn add(place: &Bucket, file: &Path) -> Result<String> {
        let name = format!("attempt-{}.parquet", ballista_core::ids::new_instance_id());
        let (place, attempt) = (place.clone(), place.child(&name));
        let pending = attempt.send(file).await?;
        to_its_end(async move {
            pending.complete().await?;
            if place.child(OPEN).exists().await? {
                return Ok(name);
            }
            let over = exec_err!("cannot write '{}': the query is over", place.url);
            let removed = attempt.remove(vec![attempt.path.clone()]).await;
            over.map_err(|error| with_cleanup(error, removed))
        })
        .await
    }

    /// The place, until it is removed.
    pub fn place(&self) -> Option<&Bucket> {
        self.place.as_ref()
    }

    /// Removes what is there.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub async fn remove(mut self) -> Result<()> {
        match self.place.take() {
            Some(place) => to_its_end(clear(place)).await,
            None => Ok(()),
        }
    }
}

impl Drop for AttemptsInBucket {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            spawn_cleanup(clear(place));
        }
    }
}

async fn clear(place: Bucket) -> Result<()> {
    place.remove(vec![place.child(OPEN).path]).await?;
    let objects = place.objects().await?;
    place.remove(objects).await
}
