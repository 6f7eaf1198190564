//! Temporary folders that only the current user can access.

use std::io::Result;
use std::path::Path;

use super::owned_folder::OwnedFolder;
use super::sweep::sweep;

/// Creates a folder with mode 0700 in the system's folder for temporary files, and removes there what killed processes of
/// this user have left. The prefix begins with `warpframe-` and ends in a hyphen.
///
/// # Errors
/// The folder cannot be created.
pub fn private_folder(prefix: &str) -> Result<OwnedFolder> {
    private_folder_in(prefix, &std::env::temp_dir())
}

/// Creates a folder as [`private_folder`] does in `parent`. The prefix may begin with a dot.
///
/// # Errors
/// The folder cannot be created.
pub fn private_folder_in(prefix: &str, parent: &Path) -> Result<OwnedFolder> {
    let folder = OwnedFolder::create(parent, prefix, 0o700)?;
    sweep(parent, &folder);
    Ok(folder)
}
