//! The outputs of task attempts. A task of a distributed query can run more than once, so each attempt writes a file
//! with a unique name beside the output, and only the files of the attempts that the query has used become part of
//! the output.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use datafusion::common::{Result, exec_err};

use super::replaceable::OWN_PREFIX;
use crate::background_cleanup::{run_to_completion, spawn_cleanup, with_cleanup_error};
use crate::file_error::file_error;
use crate::object_location::ObjectLocation;
use crate::unique_id::unique_id;

/// A folder for the files of task attempts. It is removed with everything in it when the value is dropped.
#[derive(Debug)]
pub struct Attempts(Storage);

#[derive(Debug)]
enum Storage {
    /// A folder in the hidden folder of the run.
    Local(PathBuf),
    /// A location with the same parent as that of the output.
    ObjectStore(ObjectStoreAttempts),
}

impl Attempts {
    /// Uses an empty local folder, in a folder that is removed at the end.
    pub(super) fn local(folder: PathBuf) -> Self {
        Self(Storage::Local(folder))
    }

    /// Uses a new location in an object store.
    pub(super) fn object_store(attempts: ObjectStoreAttempts) -> Self {
        Self(Storage::ObjectStore(attempts))
    }

    /// The path or URL that executors write to.
    pub fn path_or_url(&self) -> PathBuf {
        match &self.0 {
            Storage::Local(folder) => folder.clone(),
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

    /// The object with a path that an executor has reported.
    ///
    /// # Errors
    /// The path is not one of an attempt.
    pub(super) fn object(&self, location: &ObjectLocation, name: &str) -> Result<ObjectLocation> {
        location.below(checked_attempt_name(name)?)
    }

    /// Moves or downloads the file of an attempt, by its path below the attempts, to the local path `to`.
    ///
    /// # Errors
    /// There is no such file, or `name` is not a valid name of an attempt's file.
    pub async fn fetch(&self, name: &str, to: &Path) -> Result<()> {
        let name = checked_attempt_name(name)?;
        if let Some(location) = self.object_location() {
            return location.below(name)?.download(to).await;
        }
        let from = self.path_or_url().join(name);
        fs::rename(&from, to).map_err(|error| {
            let hint = "do all executors write into the same file system as this host?";
            file_error("find the output of an executor,", &from, format!("{error}; {hint}"))
        })
    }

    /// Removes the folder with the files that are left in it, when the files of the used attempts are published or that has
    /// failed. Returns `published`.
    ///
    /// # Errors
    /// That of `published`, or a file or object cannot be removed.
    pub async fn finish<T>(self, published: Result<T>) -> Result<T> {
        let removed = self.remove().await;
        match published {
            Ok(done) => removed.map(|()| done),
            Err(error) => Err(with_cleanup_error(error, removed)),
        }
    }

    async fn remove(self) -> Result<()> {
        match self.0 {
            Storage::Local(folder) => match fs::remove_dir_all(&folder) {
                // The output is published, and its folder removed with this one.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                // An executor that has not noticed the end of the query writes a file. The folder of the run is removed later.
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
                removed => removed.map_err(|error| file_error("remove", &folder, error)),
            },
            Storage::ObjectStore(attempts) => attempts.remove().await,
        }
    }
}

/// After this time without a new object, attempts are those of a client that was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The beginning of the names of locations for attempts.
const ATTEMPTS_PREFIX: &str = ".warpframe-attempts-";

/// The name of the marker object that exists as long as attempts may be added. It is removed first: an attempt that
/// completes afterwards finds it missing and removes its own object.
const OPEN_MARKER: &str = "open";

/// The objects of task attempts below a location. They are removed when the value is dropped.
#[derive(Debug)]
pub(crate) struct ObjectStoreAttempts {
    /// `None` after [`remove`](Self::remove).
    location: Option<ObjectLocation>,
}

impl ObjectStoreAttempts {
    /// Creates a location with the same parent as that of the output, and removes those of clients that were killed.
    ///
    /// # Errors
    /// The marker object cannot be written.
    pub async fn create_beside(output: &ObjectLocation, run: &str) -> Result<Self> {
        remove_abandoned(output).await?;
        let location = output.sibling(&format!("{ATTEMPTS_PREFIX}{run}"));
        let attempts = Self { location: Some(location.clone()) };
        location.child(OPEN_MARKER).create_marker().await?;
        Ok(attempts)
    }

    /// Uploads the file of an attempt, and returns the unique name of its object, which has the extension.
    ///
    /// # Errors
    /// The file cannot be uploaded, or the location has been removed in the meantime; then no object is left.
    pub async fn add(location: &ObjectLocation, file: &Path, extension: &str) -> Result<String> {
        let name = format!("attempt-{}.{extension}", unique_id()?);
        let (location, attempt) = (location.clone(), location.child(&name));
        let pending = attempt.start_upload(file).await?;
        run_to_completion(async move {
            pending.complete().await?;
            if location.child(OPEN_MARKER).find().await?.is_some() {
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
    location.remove(objects.into_iter().map(|object| object.location).collect()).await
}

/// Removes the attempts beside an output that are older than [`ABANDONED_AFTER`].
async fn remove_abandoned(output: &ObjectLocation) -> Result<()> {
    let depth = output.path.parts_count();
    let mut newest = BTreeMap::<String, SystemTime>::new();
    for object in output.objects_beside(ATTEMPTS_PREFIX).await? {
        if let Some(name) = object.location.parts().nth(depth.saturating_sub(1)) {
            let newest = newest.entry(name.as_ref().to_owned()).or_insert(SystemTime::UNIX_EPOCH);
            *newest = (*newest).max(object.last_modified.into());
        }
    }
    let now = SystemTime::now();
    for (name, newest) in newest {
        if now.duration_since(newest).is_ok_and(|age| age > ABANDONED_AFTER) {
            remove_all(output.sibling(&name)).await?;
        }
    }
    Ok(())
}

/// Checks that a name reported by an executor is that of an attempt's file or of a file in an attempt's folder, and so not a
/// path to another folder.
///
/// # Errors
/// It is not.
pub(super) fn checked_attempt_name(name: &str) -> Result<&str> {
    let is_below = name.starts_with("attempt-")
        && !name.contains(['\\', '\0'])
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with(OWN_PREFIX))
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    match is_below {
        true => Ok(name),
        false => {
            exec_err!("an executor says that it has written '{name}', which is not a file of this query")
        }
    }
}
