//! The cache folder of the user, for results that later processes reuse. Missing files and failed writes are not errors:
//! the results are computed again.

use std::io::{Result, Write};
use std::path::{Path, PathBuf};

/// The folder for cached files of a kind; `None` if the user has no cache folder.
pub(super) fn folder(kind: &str) -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("warpframe").join(kind))
}

/// Writes a file atomically: other processes see the complete file or none. Creates its folder if necessary.
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
