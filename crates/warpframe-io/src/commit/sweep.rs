//! Removes what killed processes have left in a folder: [owned folders](super::owned_folder) and
//! [lock files](super::output_lock) of this user that no process has locked.

use std::fs::{self, DirEntry};
use std::io::Result;
use std::path::Path;

use super::output_lock;
use super::owned_folder::{self, OwnedFolder};

/// Removes the leftovers in `parent`. `own` is a folder of this process, whose user is that of the process. What cannot be
/// removed is left to a later process.
pub(super) fn sweep(parent: &Path, own: &OwnedFolder) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.path() != own.path() {
            let _ = sweep_entry(&entry, own);
        }
    }
}

fn sweep_entry(entry: &DirEntry, own: &OwnedFolder) -> Result<()> {
    let name = entry.file_name();
    let Some(name) = name.to_str() else { return Ok(()) };
    let (is_folder, is_lock) = (owned_folder::is_owned_name(name), output_lock::is_lock_name(name));
    if !is_folder && !is_lock {
        return Ok(());
    }
    // Links are not followed.
    let kind = entry.file_type()?;
    if !has_same_owner(entry, own)? {
        return Ok(());
    }
    match (is_folder && kind.is_dir(), is_lock && kind.is_file()) {
        (true, _) => owned_folder::remove_if_abandoned(&entry.path()),
        (_, true) => output_lock::remove_if_abandoned(&entry.path()),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn has_same_owner(entry: &DirEntry, own: &OwnedFolder) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(entry.metadata()?.uid() == own.path().symlink_metadata()?.uid())
}

#[cfg(not(unix))]
fn has_same_owner(_: &DirEntry, _: &OwnedFolder) -> Result<bool> {
    Ok(true)
}
