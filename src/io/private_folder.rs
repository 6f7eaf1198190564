//! Folders for what is nobody else's business.

use std::io::Result;
use std::path::Path;

use tempfile::{Builder, TempDir};

/// A new folder among the temporary ones that only this user can enter. It is removed with the value.
///
/// # Errors
/// It cannot be made.
pub fn private_folder(prefix: &str) -> Result<TempDir> {
    private_folder_in(prefix, &std::env::temp_dir())
}

/// The same inside of another folder.
///
/// # Errors
/// As [`private_folder`].
pub fn private_folder_in(prefix: &str, parent: &Path) -> Result<TempDir> {
    let mut builder = Builder::new();
    builder.prefix(prefix);
    // The default is what any new folder gets, which others can read.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir_in(parent)
}
