//! Renames that never replace anything, and the exchange of two names.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Renames a file or folder, unless the new name exists.
///
/// # Errors
/// The new name exists ([`ErrorKind::AlreadyExists`]); the file system has no such operation ([`is_refused`]); or it fails.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<()> {
    system::rename(from, to, Flag::NoReplace)
}

/// Exchanges two files or folders: each gets the name of the other, at the same moment.
///
/// # Errors
/// The file system has no such operation, or refuses it for these names ([`is_refused`]); or it fails.
pub(super) fn exchange(one: &Path, other: &Path) -> Result<()> {
    system::rename(one, other, Flag::Exchange)
}

/// Whether an error says that the operation is not possible for these files, rather than that it has failed: the file system
/// does not have it, or one of the names is a mount point or in another file system.
pub(super) fn is_refused(error: &Error) -> bool {
    #[cfg(unix)]
    if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EBUSY | libc::EXDEV)) {
        return true;
    }
    error.kind() == ErrorKind::Unsupported
}

#[derive(Clone, Copy)]
enum Flag {
    NoReplace,
    Exchange,
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod system {
    use std::ffi::CString;
    use std::io::{Error, Result};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::Flag;

    pub(super) fn rename(from: &Path, to: &Path, flag: Flag) -> Result<()> {
        let from = CString::new(from.as_os_str().as_bytes())?;
        let to = CString::new(to.as_os_str().as_bytes())?;
        #[cfg(target_os = "linux")]
        let status = {
            let flag = match flag {
                Flag::NoReplace => libc::RENAME_NOREPLACE,
                Flag::Exchange => libc::RENAME_EXCHANGE,
            };
            // SAFETY: both names are valid, NUL-terminated strings that outlive the call.
            unsafe { libc::renameat2(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), flag) }
        };
        #[cfg(target_vendor = "apple")]
        let status = {
            let flag = match flag {
                Flag::NoReplace => libc::RENAME_EXCL,
                Flag::Exchange => libc::RENAME_SWAP,
            };
            // SAFETY: both names are valid, NUL-terminated strings that outlive the call.
            unsafe { libc::renamex_np(from.as_ptr(), to.as_ptr(), flag) }
        };
        if status == 0 { Ok(()) } else { Err(Error::last_os_error()) }
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
mod system {
    use std::io::{Error, ErrorKind, Result};
    use std::path::Path;

    use super::Flag;

    pub(super) fn rename(_: &Path, _: &Path, _: Flag) -> Result<()> {
        Err(Error::from(ErrorKind::Unsupported))
    }
}
