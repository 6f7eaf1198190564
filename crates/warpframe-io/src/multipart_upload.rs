//! Multipart uploads of files to an object store.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use datafusion::common::Result;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use object_store::{MultipartUpload, ObjectStoreExt};

use super::background_cleanup::{run_to_completion, spawn_cleanup};
use super::file_error::file_error;
use super::object_location::ObjectLocation;

/// The size of a part. S3 accepts 10,000 parts, so an object can have up to 160 GB.
const PART_BYTES: usize = 16 * 1024 * 1024;

/// The number of requests that are in flight at the same time, for the parts of a file and for objects.
pub(super) const CONCURRENT_REQUESTS: usize = 4;

impl ObjectLocation {
    /// Uploads the parts of a file. The object appears at this location when the upload is
    /// [completed](PendingUpload::complete).
    ///
    /// # Errors
    /// The file cannot be read, or the store refuses a request.
    pub(super) async fn start_upload(&self, file: &Path) -> Result<PendingUpload> {
        let unreadable = |error: std::io::Error| file_error("read", file, error);
        let mut source = File::open(file).map_err(unreadable)?;
        let location = self.clone();
        // If this future is dropped while the store creates the upload, the upload is aborted afterwards.
        let mut pending = run_to_completion(async move {
            let upload = location.store.put_multipart(&location.path).await;
            let upload = upload.map_err(|error| location.error("write", &error))?;
            Ok(PendingUpload { location, upload: Some(upload) })
        })
        .await?;
        let Some(upload) = &mut pending.upload else { return Ok(pending) };
        let (mut parts, mut any) = (FuturesUnordered::new(), false);
        loop {
            // Reading blocks this thread for a short time, as writing the file did.
            let mut part = Vec::with_capacity(PART_BYTES);
            (&mut source).take(PART_BYTES as u64).read_to_end(&mut part).map_err(unreadable)?;
            let is_last = part.len() < PART_BYTES;
            // An empty object needs one part, too.
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

/// A multipart upload that is not complete yet. It is aborted when the value is dropped.
pub(super) struct PendingUpload {
    location: ObjectLocation,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl PendingUpload {
    /// Completes the upload, which makes the object appear.
    ///
    /// # Errors
    /// The store refuses the request.
    pub(super) async fn complete(mut self) -> Result<()> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        upload.complete().await.map_err(|error| self.location.error("write", &error))?;
        self.upload = None;
        Ok(())
    }
}

impl Drop for PendingUpload {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            let location = self.location.clone();
            spawn_cleanup(async move {
                match upload.abort().await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                    Err(error) => Err(location.error("abort the upload to", &error)),
                }
            });
        }
    }
}
