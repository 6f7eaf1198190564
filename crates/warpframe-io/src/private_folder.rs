//! Temporary folders that only the current user can access.

use std::io::Result;
use std::path::Path;

use tempfile::{Builder, TempDir};

use super::exit_cleanup::remove_at_exit;

/// Creates a folder with mode 0700 in the system's folder for temporary files. It is removed when the value is
/// dropped.
///
/// # Errors
/// The folder cannot be created.
pub fn private_folder(prefix: &str) -> Result<TempDir> {
    private_folder_in(prefix, &std::env::temp_dir())
}

/// Creates a folder with mode 0700 in `parent`. It is removed when the value is dropped.
///
/// # Errors
/// The folder cannot be created.
pub fn private_folder_in(prefix: &str, parent: &Path) -> Result<TempDir> {
    let mut builder = Builder::new();
    builder.prefix(prefix);
    // The default of tempfile is 0777 less the umask, which lets other users read.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let folder = builder.tempdir_in(parent)?;
    remove_at_exit(folder.path());
    Ok(folder)
}
