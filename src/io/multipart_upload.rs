//! Files on their way into an object store.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use datafusion::common::Result;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use object_store::{MultipartUpload, ObjectStoreExt};

use super::background_cleanup::{run_to_completion, spawn_cleanup};
use super::local_files::file_error;
use super::object_location::ObjectLocation;

/// The size of the parts in which files are sent. A store takes 10,000 of them: objects up to 160 GB.
const PART_BYTES: usize = 16 * 1024 * 1024;

/// Parts, and objects, that are on their way at a time.
pub(super) const CONCURRENT_REQUESTS: usize = 4;

impl ObjectLocation {
    /// Sends a file. Nothing of it appears at this place before it is completed.
    pub(super) async fn start_upload(&self, file: &Path) -> Result<PendingUpload> {
        let unreadable = |error: std::io::Error| file_error("read", file, error);
        let mut source = File::open(file).map_err(unreadable)?;
        let place = self.clone();
        // The store may begin an upload for somebody who has gone meanwhile; it is aborted then.
        let mut pending = run_to_completion(async move {
            let upload = place.store.put_multipart(&place.path).await;
            let upload = upload.map_err(|error| place.error("write", &error))?;
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
            while let Some(sent) =
                if is_last || parts.len() >= CONCURRENT_REQUESTS { parts.next().await } else { None }
            {
                sent.map_err(|error| self.error("write", &error))?;
            }
            if is_last {
                break;
            }
        }
        drop(parts);
        Ok(pending)
    }
}

/// A file that has been sent, or is being sent, and does not appear yet. Dropped before it is completed, it is aborted.
pub(super) struct PendingUpload {
    place: ObjectLocation,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl PendingUpload {
    /// Makes the object appear.
    pub(super) async fn complete(mut self) -> Result<()> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        upload.complete().await.map_err(|error| self.place.error("write", &error))?;
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
                    Err(error) => Err(place.error("abort the upload to", &error)),
                }
            });
        }
    }
}
