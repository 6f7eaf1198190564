//! The outputs of task attempts. A task of a distributed query can run more than once, so each attempt writes a file
//! with a unique name beside the output, and only the files of the attempts that the query has used become part of
//! the output.

use std::fs;
use std::path::{Path, PathBuf};

use datafusion::common::{Result, exec_err};
use tempfile::TempDir;

use super::background_cleanup::{run_to_completion, spawn_cleanup, with_cleanup_error};
use super::local_files::file_error;
use super::object_location::ObjectLocation;
use super::unique_id::unique_id;

/// A folder for the files of task attempts. It is removed with everything in it when the value is dropped.
#[derive(Debug)]
pub struct Attempts(Storage);

#[derive(Debug)]
enum Storage {
    /// A hidden folder in the parent folder of the output.
    Local(TempDir),
    /// A location with the same parent as that of the output.
    ObjectStore(ObjectStoreAttempts),
}

impl Attempts {
    /// Uses an empty local folder.
    pub(super) fn local(folder: TempDir) -> Self {
        Self(Storage::Local(folder))
    }

    /// Uses a new location in an object store.
    pub(super) fn object_store(attempts: ObjectStoreAttempts) -> Self {
        Self(Storage::ObjectStore(attempts))
    }

    /// The path or URL that executors write to.
    pub fn path_or_url(&self) -> PathBuf {
        match &self.0 {
            Storage::Local(folder) => folder.path().to_owned(),
            Storage::ObjectStore(_) => {
                self.object_location().map(ObjectLocation::url).unwrap_or_default().into()
            }
        }
    }

    pub(super) fn object_location(&self) -> Option<&ObjectLocation> {
        match &self.0 {
            Storage::Local(_) => None,
            Storage::ObjectStore(attempts) => attempts.location(),
        }
    }

    /// Moves or downloads the file of an attempt to the local path `to`.
    ///
    /// # Errors
    /// There is no such file, or `name` is not a valid name of an attempt's file.
    pub async fn fetch(&self, name: &str, to: &Path) -> Result<()> {
        let name = checked_attempt_name(name)?;
        if let Some(location) = self.object_location() {
            return location.child(name).download(to).await;
        }
        let from = self.path_or_url().join(name);
        fs::rename(&from, to).map_err(|error| {
            let hint = "do all executors write into the same file system as this host?";
            file_error("find the output of an executor,", &from, format!("{error}; {hint}"))
        })
    }

    /// Removes the folder with the files that are left in it.
    ///
    /// # Errors
    /// A file or object cannot be removed.
    pub async fn remove(self) -> Result<()> {
        match self.0 {
            Storage::Local(folder) => {
                let path = folder.path().to_owned();
                folder.close().map_err(|error| file_error("remove", &path, error))
            }
            Storage::ObjectStore(attempts) => attempts.remove().await,
        }
    }
}

/// The name of the marker object that exists as long as attempts may be added. It is removed first: an attempt that
/// completes afterwards finds it missing and removes its own object.
const OPEN_MARKER: &str = "open";

/// The objects of task attempts below a location. They are removed when the value is dropped.
#[derive(Debug)]
pub(super) struct ObjectStoreAttempts {
    /// `None` after [`remove`](Self::remove).
    location: Option<ObjectLocation>,
}

impl ObjectStoreAttempts {
    /// Creates a location with the same parent as that of the output.
    ///
    /// # Errors
    /// The marker object cannot be written.
    pub async fn create_beside(output: &ObjectLocation) -> Result<Self> {
        let name = format!(".warpframe-attempts-{}", unique_id()?);
        let location = output.sibling(&name);
        let attempts = Self { location: Some(location.clone()) };
        location.child(OPEN_MARKER).create_marker().await?;
        Ok(attempts)
    }

    /// Uploads the file of an attempt, and returns the unique name of its object.
    ///
    /// # Errors
    /// The file cannot be uploaded, or the location has been removed in the meantime; then no object is left.
    pub async fn add(location: &ObjectLocation, file: &Path) -> Result<String> {
        let name = format!("attempt-{}.parquet", unique_id()?);
        let (location, attempt) = (location.clone(), location.child(&name));
        let pending = attempt.start_upload(file).await?;
        run_to_completion(async move {
            pending.complete().await?;
            if location.child(OPEN_MARKER).exists().await? {
                return Ok(name);
            }
            let over = exec_err!("cannot write '{}': the query is over", location.url);
            let removed = attempt.remove(vec![attempt.path.clone()]).await;
            over.map_err(|error| with_cleanup_error(error, removed))
        })
        .await
    }

    /// The location, until it is removed.
    fn location(&self) -> Option<&ObjectLocation> {
        self.location.as_ref()
    }

    /// Removes all objects at the location.
    ///
    /// # Errors
    /// An object cannot be removed.
    pub async fn remove(mut self) -> Result<()> {
        match self.location.take() {
            Some(location) => run_to_completion(remove_all(location)).await,
            None => Ok(()),
        }
    }
}

impl Drop for ObjectStoreAttempts {
    fn drop(&mut self) {
        if let Some(location) = self.location.take() {
            spawn_cleanup(remove_all(location));
        }
    }
}

/// Removes the marker object, and then all others.
async fn remove_all(location: ObjectLocation) -> Result<()> {
    location.remove(vec![location.child(OPEN_MARKER).path]).await?;
    let objects = location.objects().await?;
    location.remove(objects).await
}

/// Checks that a name reported by an executor is that of an attempt's file, and so not a path to another folder.
///
/// # Errors
/// It is not.
pub(super) fn checked_attempt_name(name: &str) -> Result<&str> {
    let inside = name.strip_prefix("attempt-").and_then(|rest| rest.strip_suffix(".parquet"));
    match inside.is_some_and(|inside| inside.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))) {
        true => Ok(name),
        false => {
            exec_err!("an executor says that it has written '{name}', which is not a file of this query")
        }
    }
}
