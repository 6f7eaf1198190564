//! The lock of a local output: a locked file `.warpframe-NAME.lock` beside it. A run that creates or replaces the output
//! excludes all others; runs that append to it exclude only those.

use std::fs::{self, File};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use datafusion::common::{Result, exec_err};

use super::file_lock::{self, Lock};
use crate::file_error::file_error;

/// How often a busy lock is requested. A process that sweeps the folder holds it for a moment.
const ATTEMPTS: usize = 10;

/// The time between two requests.
const RETRY: Duration = Duration::from_millis(20);

/// The longest part of the output's name in that of the lock file, in bytes: names have up to 255.
const MAX_NAME_BYTES: usize = 200;

/// Whom a lock excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// All other runs.
    Exclusive,
    /// Runs that create or replace the output.
    Shared,
}

/// A lock that is held until the value is dropped, or until the process ends.
#[derive(Debug)]
pub(super) struct OutputLock {
    path: PathBuf,
    file: File,
    /// Whether other runs are excluded at all: not every file system has locks.
    supported: bool,
}

impl OutputLock {
    /// Locks `output` by a file in `folder`.
    ///
    /// # Errors
    /// Another run writes the output, or the file cannot be created or locked.
    pub async fn acquire(folder: &Path, output: &Path, access: Access) -> Result<Self> {
        let path = folder.join(lock_name(output));
        let failed = |error: Error| file_error("lock", &path, error);
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(RETRY).await;
            }
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(failed)?;
            let locked = match access {
                Access::Exclusive => file_lock::try_exclusive(&file),
                Access::Shared => file_lock::try_shared(&file),
            };
            let locked = locked.map_err(failed)?;
            // The run that held the lock before may have removed the file.
            if locked != Lock::Busy && file_lock::is_at(&file, &path) {
                return Ok(Self { path, file, supported: locked == Lock::Acquired });
            }
        }
        exec_err!(
            "cannot write '{}': another run is writing it, wait until that has ended or choose another name",
            output.display()
        )
    }

    /// Whether the lock excludes other runs.
    pub fn is_supported(&self) -> bool {
        self.supported
    }
}

impl Drop for OutputLock {
    fn drop(&mut self) {
        // A shared lock becomes an exclusive one if no other run holds it. The file is removed only under an exclusive lock.
        if !self.supported || file_lock::try_exclusive(&self.file).is_ok_and(|lock| lock == Lock::Acquired) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn lock_name(output: &Path) -> String {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!(".warpframe-{}.lock", &name[..end])
}

/// Whether a file name is that of a lock file.
pub(super) fn is_lock_name(name: &str) -> bool {
    name.starts_with(".warpframe-") && name.ends_with(".lock")
}

/// Removes a lock file if no process has locked it.
pub(super) fn remove_if_abandoned(path: &Path) -> std::io::Result<()> {
    let file = match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    if file_lock::try_exclusive(&file)? == Lock::Acquired && file_lock::is_at(&file, path) {
        fs::remove_file(path)?;
    }
    Ok(())
}
