//! What readers see of an output whose files are becoming visible one after the other.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use datafusion::common::Result;
use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{Error, ListResult, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::journal::{Journal, is_journal};
use crate::file_error::file_error;
use crate::hidden_files::is_hidden_below;

/// How often files are listed again because a run has changed its journal in the meantime.
const ATTEMPTS: usize = 10;

/// Lists local files by `list`, without those that journals tell readers to ignore: the journals in `folder`, in the folders
/// around it if it is a partition folder, and, if `deep`, in those between `folder` and the files.
///
/// # Errors
/// The error of `list`; a folder or a journal cannot be read; or runs change their journals all the time.
pub(crate) fn committed_files(
    folder: &Path,
    deep: bool,
    mut list: impl FnMut() -> Result<Vec<PathBuf>>,
) -> Result<Vec<PathBuf>> {
    let around = folders_around(folder);
    let mut before = snapshots(&around)?;
    for attempt in 1..=ATTEMPTS {
        let mut files = list()?;
        let folders = if deep { with_folders_of(&around, folder, &files) } else { around.clone() };
        let after = snapshots(&folders)?;
        // Other programs may change files all the time; only journals make it necessary to know when.
        let is_settled = before == after
            || attempt == ATTEMPTS
                && before.iter().chain(&after).all(|snapshot| snapshot.journals.is_empty());
        if is_settled {
            let ignored = ignored_files(&after)?;
            if !ignored.is_empty() {
                files.retain(|file| !ignored.contains(file));
            }
            return Ok(files);
        }
        before = after;
    }
    Err(file_error("read", folder, "its files change all the time, try again later"))
}

/// A folder, its parent if it is a partition folder, and so on.
fn folders_around(folder: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for folder in folder.ancestors() {
        folders.insert(folder.to_owned());
        if !folder.file_name().is_some_and(|name| name.to_string_lossy().contains('=')) {
            break;
        }
    }
    folders
}

/// Adds the folders between `base` and files.
fn with_folders_of(folders: &BTreeSet<PathBuf>, base: &Path, files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut folders = folders.clone();
    for file in files {
        let parents = file.ancestors().skip(1).take_while(|parent| *parent != base);
        folders.extend(parents.filter(|parent| parent.starts_with(base)).map(Path::to_owned));
    }
    folders
}

/// The state of a folder that may hold an output: the time of its last change, and its journals.
#[derive(Debug, PartialEq, Eq)]
struct Snapshot {
    folder: PathBuf,
    changed: SystemTime,
    journals: Vec<(PathBuf, Vec<u8>)>,
}

/// The states of folders. Those that this user may not list have no journal for it.
fn snapshots(folders: &BTreeSet<PathBuf>) -> Result<Vec<Snapshot>> {
    let mut snapshots = Vec::new();
    for folder in folders {
        match read_snapshot(folder) {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(error) => return Err(file_error("read", folder, error)),
        }
    }
    Ok(snapshots)
}

fn read_snapshot(folder: &Path) -> IoResult<Snapshot> {
    let readable = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let changed = readable.metadata()?.modified()?;
    let mut journals = Vec::new();
    for entry in fs::read_dir(readable)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_journal) {
            match fs::read(entry.path()) {
                Ok(text) => journals.push((entry.path(), text)),
                // Its run has ended; the listing before or after this one differs.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    journals.sort();
    Ok(Snapshot { folder: folder.to_owned(), changed, journals })
}

fn ignored_files(snapshots: &[Snapshot]) -> Result<HashSet<PathBuf>> {
    let mut ignored = HashSet::new();
    for snapshot in snapshots {
        for (path, text) in &snapshot.journals {
            let journal = Journal::parse(text);
            let journal = journal.map_err(|error| file_error("read", path, error.find_root().message()))?;
            ignored.extend(journal.ignored().iter().map(|name| snapshot.folder.join(name)));
        }
    }
    Ok(ignored)
}

/// Lists the visible objects below a prefix, without those that journals tell readers to ignore.
///
/// # Errors
/// The store cannot be read, a journal is not valid, or runs change their journals all the time.
pub(crate) async fn committed_objects(
    store: Arc<dyn ObjectStore>,
    prefix: Option<ObjectPath>,
) -> object_store::Result<Vec<ObjectMeta>> {
    for _ in 0..ATTEMPTS {
        let mut objects: Vec<_> = store.list(prefix.as_ref()).try_collect().await?;
        if let Some(ignored) = ignored_objects(&*store, prefix.as_ref(), &objects).await? {
            objects.retain(|object| {
                !is_hidden_below(prefix.as_ref(), &object.location) && !ignored.contains(&object.location)
            });
            return Ok(objects);
        }
    }
    Err(changing(prefix.as_ref()))
}

/// Lists the visible objects and folders directly below a prefix, without those objects that journals tell readers to ignore.
///
/// # Errors
/// The same as for [`committed_objects`].
pub(crate) async fn committed_listing(
    store: &dyn ObjectStore,
    prefix: Option<&ObjectPath>,
) -> object_store::Result<ListResult> {
    for _ in 0..ATTEMPTS {
        let mut listed = store.list_with_delimiter(prefix).await?;
        if let Some(ignored) = ignored_objects(store, prefix, &listed.objects).await? {
            listed.objects.retain(|object| {
                !is_hidden_below(prefix, &object.location) && !ignored.contains(&object.location)
            });
            listed.common_prefixes.retain(|folder| !is_hidden_below(prefix, folder));
            return Ok(listed);
        }
    }
    Err(changing(prefix))
}

/// The objects that the journals among `objects` tell readers to ignore; `None` if a journal has changed since these were
/// listed.
pub(crate) async fn ignored_objects(
    store: &dyn ObjectStore,
    prefix: Option<&ObjectPath>,
    objects: &[ObjectMeta],
) -> object_store::Result<Option<HashSet<ObjectPath>>> {
    let mut ignored = HashSet::new();
    for object in objects {
        let Some(output) = output_of_journal(prefix, &object.location) else { continue };
        let found = match store.get(&object.location).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        if found.meta.e_tag != object.e_tag || found.meta.last_modified != object.last_modified {
            return Ok(None);
        }
        let text = found.bytes().await?;
        let journal = Journal::parse(&text)
            .map_err(|error| unreadable(format!("'{}': {}", object.location, error.find_root().message())))?;
        ignored.extend(journal.ignored().iter().filter_map(|name| below(&output, name)));
    }
    Ok(Some(ignored))
}

/// The location of the output that a journal is in; `None` if the object is no journal, or in a hidden folder.
fn output_of_journal(prefix: Option<&ObjectPath>, object: &ObjectPath) -> Option<ObjectPath> {
    let output: ObjectPath = object.parts().take(object.parts_count().saturating_sub(1)).collect();
    (object.filename().is_some_and(is_journal) && !is_hidden_below(prefix, &output)).then_some(output)
}

/// The object with a path relative to an output; `None` if the path is not valid.
pub(crate) fn below(output: &ObjectPath, name: &str) -> Option<ObjectPath> {
    let parts = name.split('/').map(object_store::path::PathPart::parse);
    let parts: Vec<_> = parts.collect::<std::result::Result<_, _>>().ok()?;
    Some(parts.into_iter().fold(output.clone(), |path, part| path.join(part)))
}

fn changing(prefix: Option<&ObjectPath>) -> Error {
    let place = prefix.map(ObjectPath::to_string).unwrap_or_default();
    unreadable(format!("the objects below '{place}' change all the time, try again later"))
}

fn unreadable(message: String) -> Error {
    Error::Generic { store: "output", source: message.into() }
}
