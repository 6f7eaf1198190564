//! Folders for the files of one process. A file in the folder is locked as long as the process runs, so that other processes
//! can tell the folder of a running process from one that a killed process has left, and [remove](super::sweep) the latter.

use std::fs::{self, DirBuilder, File};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use super::file_lock::{self, Lock};
use crate::exit_cleanup::{keep_at_exit, remove_at_exit};
use crate::unique_id::{is_unique_id, unique_id};

/// The file that the process keeps locked. It is the last to be removed: an interrupted removal can be completed later.
const OWNER: &str = ".owner";

/// How often a folder is created anew because another process has removed it before it was locked.
const CREATE_ATTEMPTS: usize = 16;

/// How often the removal of a folder is tried again while another process still adds files to it.
const REMOVE_ATTEMPTS: usize = 5;

/// A folder that is removed with everything in it when the value is dropped, or else by a later process.
#[derive(Debug)]
pub struct OwnedFolder {
    path: PathBuf,
    id: String,
    /// The locked owner file; `None` when the folder has been removed or given away.
    owner: Option<File>,
}

impl OwnedFolder {
    /// Creates a folder with this mode, less the umask, and a name that begins with `prefix`: `warpframe-` or
    /// `.warpframe-`, and more that ends in a hyphen.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub(super) fn create(parent: &Path, prefix: &str, mode: u32) -> Result<Self> {
        let parent = std::path::absolute(parent)?;
        for _ in 0..CREATE_ATTEMPTS {
            let id = unique_id()?;
            if let Some(folder) = Self::try_create(parent.join(format!("{prefix}{id}")), id, mode)? {
                return Ok(folder);
            }
        }
        Err(Error::new(ErrorKind::ResourceBusy, "other processes remove new folders"))
    }

    /// Creates a folder; `None` if another process has removed it before it was locked.
    fn try_create(path: PathBuf, id: String, mode: u32) -> Result<Option<Self>> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
        #[cfg(not(unix))]
        let _ = mode;
        builder.create(&path)?;
        let owner = path.join(OWNER);
        let locked = File::options().read(true).write(true).create_new(true).open(&owner).and_then(|file| {
            let locked = file_lock::try_exclusive(&file)?;
            Ok((locked != Lock::Busy && file_lock::is_at(&file, &owner)).then_some(file))
        });
        match locked {
            Ok(Some(file)) => {
                remove_at_exit(&path);
                Ok(Some(Self { path, id, owner: Some(file) }))
            }
            Ok(None) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let _ = remove_owned(&path);
                Err(error)
            }
        }
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The end of the name: 32 hexadecimal digits that no other folder has.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Keeps the folder, as a usual one without an owner.
    ///
    /// # Errors
    /// The file that marks its owner cannot be removed.
    pub fn keep(mut self) -> Result<PathBuf> {
        self.keep_at_exit()?;
        fs::remove_file(self.path.join(OWNER))?;
        self.owner = None;
        Ok(std::mem::take(&mut self.path))
    }

    /// From now on the folder stays if the process ends without dropping its values. A later process removes it.
    ///
    /// # Errors
    /// The process is ending, and has begun to remove the folder.
    pub(super) fn keep_at_exit(&self) -> Result<()> {
        match keep_at_exit(&self.path) {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Interrupted, "the process is ending")),
        }
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(mut self) -> Result<()> {
        let removed = remove_owned(&self.path);
        self.owner = None;
        removed
    }
}

impl Drop for OwnedFolder {
    fn drop(&mut self) {
        if self.owner.is_some() {
            let _ = remove_owned(&self.path);
        }
    }
}

/// Whether a file name is one of those that [`OwnedFolder`] makes.
pub(super) fn is_owned_name(name: &str) -> bool {
    let unhidden = name.strip_prefix('.').unwrap_or(name);
    unhidden.starts_with("warpframe-") && name.rsplit_once('-').is_some_and(|(_, id)| is_unique_id(id))
}

/// Removes an owned folder if its process has ended.
pub(super) fn remove_if_abandoned(folder: &Path) -> Result<()> {
    let owner = folder.join(OWNER);
    match File::options().read(true).write(true).open(&owner) {
        // Its process has locked the file until now, or will find that it is missing.
        Ok(file) if file_lock::try_exclusive(&file)? == Lock::Acquired && file_lock::is_at(&file, &owner) => {
            remove_owned(folder)
        }
        Ok(_) => Ok(()),
        // The process was killed before it has created the file, or after it has removed it: the folder is empty. Another
        // folder of this name is not removed.
        Err(error) if error.kind() == ErrorKind::NotFound => fs::remove_dir(folder),
        Err(error) => Err(error),
    }
}

/// Removes everything in a folder, the owner file last, and the folder.
fn remove_owned(folder: &Path) -> Result<()> {
    let mut attempts = REMOVE_ATTEMPTS;
    loop {
        let removed = remove_contents(folder).and_then(|()| {
            remove_if_present(fs::remove_file(folder.join(OWNER)))?;
            // Another process sweeps the folder when it is empty.
            remove_if_present(fs::remove_dir(folder))
        });
        match removed {
            // A task that has not noticed the end of its query adds a file.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && attempts > 1 => attempts -= 1,
            removed => return removed,
        }
    }
}

fn remove_contents(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == OWNER {
            continue;
        }
        remove_if_present(match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path()),
            false => fs::remove_file(entry.path()),
        })?;
    }
    Ok(())
}

fn remove_if_present(removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
