//! Places for files that may or may not become parts of an output.

use std::fs;
use std::path::{Path, PathBuf};

use datafusion::common::{Result, exec_err};
use tempfile::TempDir;

use super::background_cleanup::{run_to_completion, spawn_cleanup, with_cleanup};
use super::local_files::file_error;
use super::object_location::ObjectLocation;
use super::unique_id::unique_id;

/// A place for files that may or may not become parts of an output.
#[derive(Debug)]
pub(crate) enum Attempts {
    Local(TempDir),
    ObjectStore(ObjectStoreAttempts),
}

impl Attempts {
    /// Its path or URL.
    pub fn place(&self) -> PathBuf {
        match self {
            Self::Local(folder) => folder.path().to_owned(),
            Self::ObjectStore(_) => {
                self.object_location().map(ObjectLocation::url).unwrap_or_default().into()
            }
        }
    }

    pub(super) fn object_location(&self) -> Option<&ObjectLocation> {
        match self {
            Self::Local(_) => None,
            Self::ObjectStore(attempts) => attempts.place(),
        }
    }

    /// Takes a file out of it.
    ///
    /// # Errors
    /// There is none of this name, or the name is not one of a file in it.
    pub async fn take(&self, name: &str, to: &Path) -> Result<()> {
        let name = checked_attempt_name(name)?;
        if let Some(location) = self.object_location() {
            return location.child(name).download(to).await;
        }
        let from = self.place().join(name);
        fs::rename(&from, to).map_err(|error| {
            let hint = "do all executors write into the same file system as this host?";
            file_error("find the output of an executor,", &from, format!("{error}; {hint}"))
        })
    }

    /// Removes it with what is left there.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub async fn remove(self) -> Result<()> {
        match self {
            Self::Local(folder) => {
                let path = folder.path().to_owned();
                folder.close().map_err(|error| file_error("remove", &path, error))
            }
            Self::ObjectStore(attempts) => attempts.remove().await,
        }
    }
}

/// The object that stands for a place for attempts being open. It is the first to be removed: an attempt that ends
/// later, when nobody looks for it any more, finds it gone and removes itself.
const OPEN_MARKER: &str = "open";

/// A place for files that may or may not become parts of an output. What is there is removed with the value.
#[derive(Debug)]
pub(crate) struct ObjectStoreAttempts {
    place: Option<ObjectLocation>,
}

impl ObjectStoreAttempts {
    /// A new place beside an output.
    pub async fn create_beside(output: &ObjectLocation) -> Result<Self> {
        let name = format!(".warpframe-attempts-{}", unique_id()?);
        let place = output.sibling(&name);
        let attempts = Self { place: Some(place.clone()) };
        place.child(OPEN_MARKER).create_marker().await?;
        Ok(attempts)
    }

    /// Sends a file to such a place, under a name of its own.
    ///
    /// # Errors
    /// The place has been removed in the meantime; then the file is, too.
    pub async fn add(place: &ObjectLocation, file: &Path) -> Result<String> {
        let name = format!("attempt-{}.parquet", unique_id()?);
        let (place, attempt) = (place.clone(), place.child(&name));
        let pending = attempt.start_upload(file).await?;
        run_to_completion(async move {
            pending.complete().await?;
            if place.child(OPEN_MARKER).exists().await? {
                return Ok(name);
            }
            let over = exec_err!("cannot write '{}': the query is over", place.url);
            let removed = attempt.remove(vec![attempt.path.clone()]).await;
            over.map_err(|error| with_cleanup(error, removed))
        })
        .await
    }

    /// The place, until it is removed.
    pub fn place(&self) -> Option<&ObjectLocation> {
        self.place.as_ref()
    }

    /// Removes what is there.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub async fn remove(mut self) -> Result<()> {
        match self.place.take() {
            Some(place) => run_to_completion(remove_all(place)).await,
            None => Ok(()),
        }
    }
}

impl Drop for ObjectStoreAttempts {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            spawn_cleanup(remove_all(place));
        }
    }
}

async fn remove_all(place: ObjectLocation) -> Result<()> {
    place.remove(vec![place.child(OPEN_MARKER).path]).await?;
    let objects = place.objects().await?;
    place.remove(objects).await
}

/// A name that an executor has given, if it is one of a file in a place for attempts.
pub(super) fn checked_attempt_name(name: &str) -> Result<&str> {
    let inside = name.strip_prefix("attempt-").and_then(|rest| rest.strip_suffix(".parquet"));
    match inside.is_some_and(|inside| inside.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))) {
        true => Ok(name),
        false => {
            exec_err!("an executor says that it has written '{name}', which is not a file of this query")
        }
    }
}
