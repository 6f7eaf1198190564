//! Outputs in an object store. There is no rename there, and none is needed: an object appears whole or not at all.
//!
//! All objects of an output are sent before the first of them appears, under names that the old output does not have;
//! the old objects are removed when all new ones are there. What is given up before that is taken back, and the old
//! output stays as it was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::{DataFusionError, Result};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;

use super::background_cleanup::{run_to_completion, with_cleanup};
use super::multipart_upload::CONCURRENT_REQUESTS;
use super::object_location::ObjectLocation;

impl ObjectLocation {
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
            let pending = place.start_upload(&file).await?;
            Ok::<_, DataFusionError>((place, pending.complete()))
        });
        let sent: Vec<_> = stream::iter(sent).buffer_unordered(CONCURRENT_REQUESTS).try_collect().await?;
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
        let waiting = CancelOnDrop::default();
        // A request that is on its way is never given up: nobody would know what has become of it.
        run_to_completion(self.clone().replace(objects, replaced, Arc::clone(&waiting.cancelled))).await
    }

    async fn replace<F: Future<Output = Result<()>>>(
        self,
        objects: Vec<(Self, F)>,
        replaced: Vec<ObjectPath>,
        cancelled: Arc<AtomicBool>,
    ) -> Result<()> {
        let (mut begun, mut failure) = (BTreeSet::new(), None);
        let mut writes = stream::iter(objects)
            .take_while(|_| std::future::ready(!cancelled.load(Ordering::Acquire)))
            .map(|(place, write)| async move { (place.path, write.await) })
            .buffer_unordered(CONCURRENT_REQUESTS);
        while let Some((place, written)) = writes.next().await {
            begun.insert(place);
            if let Err(error) = written {
                cancelled.store(true, Ordering::Release);
                failure.get_or_insert(error);
            }
        }
        if cancelled.load(Ordering::Acquire) {
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
}

/// Somebody who waits for a change. Dropped, the change is given up as far as it has not begun.
#[derive(Default)]
struct CancelOnDrop {
    cancelled: Arc<AtomicBool>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Release);
    }
}
