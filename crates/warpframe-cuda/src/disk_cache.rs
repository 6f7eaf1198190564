//! Files that save work to later processes. That one of them is missing or cannot be written costs time, and is no error.

use std::io::{Result, Write};
use std::path::{Path, PathBuf};

/// The folder for files of a kind; none where users have no folder for such things.
pub(super) fn folder(kind: &str) -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("warpframe").join(kind))
}

/// Writes a file, which other processes see whole or not at all. Its folder is made if there is none.
pub(super) fn write(file: &Path, parts: &[&[u8]]) -> Result<()> {
    let folder = file.parent().unwrap_or(file);
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    for part in parts {
        new.write_all(part)?;
    }
    new.persist(file)?;
    Ok(())
}
