//! The folders that a process removes if it has to end at once, without dropping its values: after a second signal, or if a
//! thread cannot be stopped.

use std::fs::remove_dir_all;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use parking_lot::Mutex;

/// So many folders may be known before those that exist no longer are looked for.
const UNCHECKED: usize = 64;

/// How long to wait before a folder is removed again to which a thread has added a file in the meantime.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

static FOLDERS: Mutex<Folders> =
    Mutex::new(Folders { paths: Vec::new(), check_at: UNCHECKED, is_ending: false });

struct Folders {
    paths: Vec<PathBuf>,
    /// Whether the folders are being removed.
    is_ending: bool,
    /// The number of folders at which those that exist no longer are forgotten.
    check_at: usize,
}

/// Lets [`remove_leftovers`] remove a folder, with everything in it.
pub(super) fn remove_at_exit(folder: &Path) {
    // The current folder may change.
    let Ok(path) = std::path::absolute(folder) else { return };
    let mut folders = FOLDERS.lock();
    folders.paths.push(path);
    if folders.paths.len() >= folders.check_at {
        folders.paths.retain(|path| path.exists());
        folders.check_at = UNCHECKED.max(2 * folders.paths.len());
    }
}

/// Withdraws [`remove_at_exit`]: from now on the folder may become an output, or hold the only copy of something. Returns false
/// if it may be removed at this moment, because the process is ending.
#[must_use]
pub(super) fn keep_at_exit(folder: &Path) -> bool {
    let mut folders = FOLDERS.lock();
    if let Ok(path) = std::path::absolute(folder) {
        folders.paths.retain(|known| *known != path);
    }
    !folders.is_ending
}

/// Removes the folders that exist, for as long as `limit` at most. Other threads may still add files to them.
pub fn remove_leftovers(limit: Duration) {
    let folders = {
        let mut folders = FOLDERS.lock();
        folders.is_ending = true;
        std::mem::take(&mut folders.paths)
    };
    let (done, removed) = channel();
    std::thread::spawn(move || {
        for folder in folders {
            while remove_dir_all(&folder).is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound)
                && folder.exists()
            {
                std::thread::sleep(RETRY_INTERVAL);
            }
        }
        let _ = done.send(());
    });
    let _ = removed.recv_timeout(limit);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    // One test, because the folders are those of the process.
    #[test]
    fn folders_are_removed_unless_they_are_kept() {
        let parent = tempfile::tempdir().unwrap();
        let [removed, kept] = ["removed", "kept"].map(|name| parent.path().join(name));
        for folder in [&removed, &kept] {
            std::fs::create_dir_all(folder.join("inner")).unwrap();
            std::fs::write(folder.join("inner/file"), "data").unwrap();
            remove_at_exit(folder);
        }
        for number in 0..1000 {
            remove_at_exit(&parent.path().join(format!("gone-{number}")));
        }
        assert!(FOLDERS.lock().paths.len() <= 2 * UNCHECKED);
        assert!(keep_at_exit(&kept));
        remove_leftovers(Duration::from_secs(10));
        assert!(!removed.exists() && kept.join("inner/file").exists());
        assert!(!keep_at_exit(&kept));
    }
}
