//! Advisory locks on files, which the operating system releases when their process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// The outcome of a request for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// The file is locked until it is closed.
    Acquired,
    /// Another process, or another open file of this process, holds a lock.
    Busy,
    /// The file system has no locks.
    Unsupported,
}

/// Requests a lock that excludes all others.
///
/// # Errors
/// The operating system reports an error.
pub(super) fn try_exclusive(file: &File) -> Result<Lock> {
    outcome(file.try_lock())
}

/// Requests a lock that excludes exclusive ones.
///
/// # Errors
/// The operating system reports an error.
pub(super) fn try_shared(file: &File) -> Result<Lock> {
    outcome(file.try_lock_shared())
}

fn outcome(locked: std::result::Result<(), TryLockError>) -> Result<Lock> {
    match locked {
        Ok(()) => Ok(Lock::Acquired),
        Err(TryLockError::WouldBlock) => Ok(Lock::Busy),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(Lock::Unsupported),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Network file systems without a lock service report ENOLCK.
fn has_no_locks(error: &Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ENOLCK) {
        return true;
    }
    error.kind() == ErrorKind::Unsupported
}

/// Whether `path` still names the open file, and not nothing or another file that was created since.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), path.symlink_metadata()) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        open.dev() == named.dev() && open.ino() == named.ino()
    }
    #[cfg(not(unix))]
    {
        // An open file cannot be removed there.
        open.is_file() && named.is_file()
    }
}
