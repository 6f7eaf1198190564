//! The folders above a new output.

use std::fs;
use std::path::{Path, PathBuf};

use datafusion::common::Result;

use crate::file_error::file_error;

/// Folders that were created for an output. Those that are empty when the value is dropped are removed.
#[derive(Debug, Default)]
pub(super) struct CreatedFolders(Vec<PathBuf>);

impl CreatedFolders {
    /// Creates a folder and those above it, unless they exist.
    ///
    /// # Errors
    /// A folder cannot be created; then those above it are removed.
    pub fn create(folder: &Path) -> Result<Self> {
        let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        let mut created = Self::default();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => created.0.push(folder.to_owned()),
                Err(_) if folder.is_dir() => {}
                Err(error) => return Err(file_error("create", folder, error)),
            }
        }
        Ok(created)
    }
}

impl Drop for CreatedFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            // A folder that is not empty is not removed.
            let _ = fs::remove_dir(folder);
        }
    }
}
