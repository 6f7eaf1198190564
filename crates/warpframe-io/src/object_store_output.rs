//! The commit of an output in an object store. Object stores have no rename, but an object becomes visible
//! atomically.
//!
//! All objects of an output are uploaded before the first of them becomes visible, under names that the old output
//! does not use. The old objects are removed when all new ones are visible. If the commit fails or is cancelled before
//! that, the new objects are removed and the old output stays unchanged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::{DataFusionError, Result};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;

use super::background_cleanup::{run_to_completion, with_cleanup_error};
use super::multipart_upload::CONCURRENT_REQUESTS;
use super::object_location::ObjectLocation;

impl ObjectLocation {
    /// Uploads files to the given locations, and removes the objects that they replace.
    ///
    /// # Errors
    /// A file cannot be uploaded; then the old output is unchanged. Or a replaced object cannot be removed; then the new
    /// output is complete, and the error names the objects that are left.
    pub async fn publish_files(
        &self,
        files: Vec<(Self, std::path::PathBuf)>,
        replaced: Vec<ObjectPath>,
    ) -> Result<()> {
        let sent = files.into_iter().map(|(location, file)| async move {
            let pending = location.start_upload(&file).await?;
            Ok::<_, DataFusionError>((location, pending.complete()))
        });
        let sent: Vec<_> = stream::iter(sent).buffer_unordered(CONCURRENT_REQUESTS).try_collect().await?;
        self.publish(sent, replaced).await
    }

    /// Copies objects to the given locations, as pairs of target and source, and removes the objects that they replace.
    ///
    /// # Errors
    /// The same as for [`publish_files`](Self::publish_files).
    pub async fn publish_copies(&self, copies: Vec<(Self, Self)>, replaced: Vec<ObjectPath>) -> Result<()> {
        let copies = copies.into_iter().map(|(location, source)| {
            let target = location.clone();
            (location, async move { target.copy_from(&source).await })
        });
        self.publish(copies.collect(), replaced).await
    }

    /// Runs the writes that make the objects at these locations visible, and removes the objects that they replace.
    async fn publish<F: Future<Output = Result<()>> + Send + 'static>(
        &self,
        objects: Vec<(Self, F)>,
        replaced: Vec<ObjectPath>,
    ) -> Result<()> {
        let guard = CancelOnDrop::default();
        // A request in flight is never cancelled, because its outcome would be unknown.
        run_to_completion(self.clone().replace(objects, replaced, Arc::clone(&guard.cancelled))).await
    }

    /// Stops starting writes when one fails or `cancelled` is set, and then removes what it has written.
    async fn replace<F: Future<Output = Result<()>>>(
        self,
        objects: Vec<(Self, F)>,
        replaced: Vec<ObjectPath>,
        cancelled: Arc<AtomicBool>,
    ) -> Result<()> {
        let (mut started, mut failure) = (BTreeSet::new(), None);
        let mut writes = stream::iter(objects)
            .take_while(|_| std::future::ready(!cancelled.load(Ordering::Acquire)))
            .map(|(location, write)| async move { (location.path, write.await) })
            .buffer_unordered(CONCURRENT_REQUESTS);
        while let Some((path, written)) = writes.next().await {
            started.insert(path);
            if let Err(error) = written {
                cancelled.store(true, Ordering::Release);
                failure.get_or_insert(error);
            }
        }
        if cancelled.load(Ordering::Acquire) {
            // An object with the name of an old one is kept: it may be the old one, if its write has failed. Objects
            // whose write was not started may belong to another writer.
            let written = started.into_iter().filter(|path| !replaced.contains(path));
            let removed = self.remove(written.collect()).await;
            return match failure {
                Some(error) => Err(with_cleanup_error(error, removed)),
                None => removed,
            };
        }
        let old = replaced.into_iter().filter(|object| !started.contains(object));
        self.remove(old.collect()).await.map_err(|error| {
            let cause = error.find_root().message().into_owned();
            DataFusionError::Execution(format!(
                "the new output in '{}' is whole, but objects of the old one lie beside it: {cause}",
                self.url
            ))
        })
    }
}

/// Sets a flag when it is dropped, so that a commit whose future is dropped starts no more writes.
#[derive(Default)]
struct CancelOnDrop {
    cancelled: Arc<AtomicBool>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Release);
    }
}
