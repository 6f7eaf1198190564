//! An object store whose client ends at its n-th request: before the store gets it, or after that and before the answer.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UploadPart,
};
use tokio::sync::Semaphore;

/// What happens at a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Never,
    /// The store does not get the request, nor any later one.
    Before(usize),
    /// The store gets the request, but the client no answer, and the store no later request.
    After(usize),
    /// The request fails and is not done; later ones are.
    Fail(usize),
    /// The request and the next ones, of this number, are done but seem to fail; later ones do not.
    Lose(usize, usize),
    /// The request waits until it is released.
    Hold(usize),
}

/// One client's view of the shared store.
#[derive(Debug, Clone)]
pub struct Client {
    store: Arc<InMemory>,
    /// Whether the journals and claims of other clients look an hour old.
    is_later: bool,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    requests: AtomicUsize,
    held: Semaphore,
    released: Semaphore,
}

impl Client {
    pub fn new(store: &Arc<InMemory>, fault: Fault, is_later: bool) -> Self {
        let state = State {
            fault,
            requests: AtomicUsize::new(0),
            held: Semaphore::new(0),
            released: Semaphore::new(0),
        };
        Self { store: Arc::clone(store), is_later, state: Arc::new(state) }
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Completes when a request is held.
    pub async fn wait_until_held(&self) {
        self.state.held.acquire().await.unwrap().forget();
    }

    /// Releases the request that is held.
    pub fn release(&self) {
        self.state.released.add_permits(1);
    }

    /// Counts a request and runs it.
    async fn request<T>(&self, run: impl Future<Output = Result<T>>) -> Result<T> {
        let number = self.state.requests.fetch_add(1, Ordering::SeqCst) + 1;
        match self.state.fault {
            Fault::Before(at) if number >= at => Err(ended()),
            Fault::After(at) if number > at => Err(ended()),
            Fault::After(at) if number == at => run.await.and(Err(ended())),
            Fault::Fail(at) if number == at => Err(ended()),
            Fault::Lose(at, count) if (at..at + count).contains(&number) => run.await.and(Err(ended())),
            Fault::Hold(at) if number == at => {
                self.state.held.add_permits(1);
                self.state.released.acquire().await.unwrap().forget();
                run.await
            }
            _ => run.await,
        }
    }

    fn dated(&self, mut object: ObjectMeta) -> ObjectMeta {
        let name = object.location.filename().unwrap_or_default();
        if self.is_later && (name.starts_with(".warpframe-commit") || name.ends_with(".lock")) {
            object.last_modified -= Duration::from_secs(3600);
        }
        object
    }

    /// Runs a request whose objects come one after the other.
    fn listing(
        &self,
        list: impl FnOnce(&InMemory) -> BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (client, listed) = (self.clone(), list(&self.store));
        let objects = async move {
            let objects: Vec<_> = client.request(listed.try_collect()).await?;
            let dated: Vec<_> = objects.into_iter().map(|object| Ok(client.dated(object))).collect();
            Ok::<_, Error>(stream::iter(dated))
        };
        stream::once(objects).try_flatten().boxed()
    }
}

/// An upload whose requests are counted with those of its client.
#[derive(Debug)]
struct Upload {
    client: Client,
    upload: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let (client, sent) = (self.client.clone(), self.upload.put_part(part));
        Box::pin(async move { client.request(sent).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.client.request(self.upload.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.client.request(self.upload.abort()).await
    }
}

fn ended() -> Error {
    Error::Generic { store: "test", source: "the client has ended".into() }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("client of a store in memory")
    }
}

#[async_trait]
impl ObjectStore for Client {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.request(self.store.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.request(self.store.put_multipart_opts(location, options)).await?;
        Ok(Box::new(Upload { client: self.clone(), upload }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut found = self.request(self.store.get_opts(location, options)).await?;
        found.meta = self.dated(found.meta);
        Ok(found)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.request(self.store.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let client = self.clone();
        let removed = locations.then(move |location| {
            let client = client.clone();
            async move {
                let location = location?;
                client.request(client.store.delete(&location)).await.map(|()| location)
            }
        });
        removed.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(|store| store.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(|store| store.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.request(self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.request(self.store.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.request(self.store.rename_opts(from, to, options)).await
    }
}
