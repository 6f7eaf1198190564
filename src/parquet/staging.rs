//! Outputs that appear under their name only when whole: everything is written into a hidden folder
//! beside the output, made durable, and renamed. Dropped before that, the folder is gone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use datafusion::common::{Result, exec_err};
use tempfile::TempDir;

use crate::files::file_error;

/// An output in the making.
#[derive(Debug)]
pub struct Staging {
    folder: TempDir,
    parent: PathBuf,
    output: PathBuf,
    is_file: bool,
    overwrite: bool,
}

impl Staging {
    /// Prepares to write `output`: one file where the name ends in `.parquet`, else a folder.
    ///
    /// # Errors
    /// The output exists and `overwrite` is false; it exists and is not something this function made (a
    /// folder with anything but Parquet files in it); or nothing can be written beside it.
    pub fn new(output: &Path, overwrite: bool) -> Result<Self> {
        Self::prepare(output, is_file_name(output), overwrite)
    }

    /// Prepares to write `output` as one file, whatever its name ends in.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn file(output: &Path, overwrite: bool) -> Result<Self> {
        Self::prepare(output, true, overwrite)
    }

    fn prepare(output: &Path, is_file: bool, overwrite: bool) -> Result<Self> {
        check_replaceable(output, is_file, overwrite)?;
        let parent = match output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        if !parent.is_dir() {
            return exec_err!(
                "cannot write '{}': there is no folder '{}', create it first",
                output.display(),
                parent.display()
            );
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".warpframe-");
        // By default temporary folders are private; an output has the permissions of any new folder.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder.tempdir_in(&parent).map_err(|error| file_error("write", output, error))?;
        Ok(Self { folder, parent, output: output.to_owned(), is_file, overwrite })
    }

    /// Whether the output is one file, not a folder.
    pub fn is_file(&self) -> bool {
        self.is_file
    }

    /// Where the `shard`-th part is to be written, with a name that sorts by its number.
    pub fn shard(&self, shard: usize) -> PathBuf {
        self.folder.path().join(format!("part-{shard:05}.parquet"))
    }

    /// A folder beside the output for files that may or may not become parts of it. It is removed with the
    /// value; what is written into it later on is lost, not published.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub fn attempts(&self) -> Result<TempDir> {
        // Others may have another working folder.
        let parent = self.parent.canonicalize().map_err(|error| file_error("open", &self.parent, error))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".warpframe-attempts-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        builder.tempdir_in(parent).map_err(|error| file_error("write", &self.output, error))
    }

    /// Gives the output its name: the folder, or the one file in it.
    ///
    /// # Errors
    /// The output has come to exist in the meantime, or the file system refuses; then what existed before
    /// is as it was.
    pub fn publish(self) -> Result<()> {
        let failed = |error| file_error("write", &self.output, error);
        check_replaceable(&self.output, self.is_file, self.overwrite)?;
        sync_folder(self.folder.path()).map_err(failed)?;
        let whole = if self.is_file() { self.shard(0) } else { self.folder.path().to_owned() };
        if self.output.is_dir() {
            // A folder cannot be renamed onto another: move the old one out of the way, and back on failure.
            let old = TempDir::with_prefix_in(".warpframe-old-", &self.parent).map_err(failed)?;
            let aside = old.path().join("old");
            fs::rename(&self.output, &aside).map_err(failed)?;
            if let Err(error) = fs::rename(&whole, &self.output) {
                fs::rename(&aside, &self.output).map_err(failed)?;
                return Err(failed(error));
            }
        } else {
            fs::rename(&whole, &self.output).map_err(failed)?;
        }
        sync_folder(&self.parent).map_err(failed)?;
        if !self.is_file() {
            // It has another name now, so there is nothing left to remove.
            let _ = self.folder.keep();
        }
        Ok(())
    }
}

/// Whether an output of this name is one file.
pub fn is_file_name(output: &Path) -> bool {
    output.extension().is_some_and(|extension| extension == "parquet")
}

/// Refuses to replace what the user has not agreed to lose.
fn check_replaceable(output: &Path, is_file: bool, overwrite: bool) -> Result<()> {
    let name = output.display();
    let Ok(metadata) = output.symlink_metadata() else {
        return Ok(());
    };
    if !overwrite {
        return exec_err!("'{name}' exists already: choose another name, or add --overwrite to replace it");
    }
    if is_file {
        return match metadata.is_dir() {
            true => exec_err!("cannot replace '{name}' by a file: it is a folder"),
            false => Ok(()),
        };
    }
    if !metadata.is_dir() {
        return exec_err!("cannot replace '{name}' by a folder: it is a file");
    }
    for entry in fs::read_dir(output).map_err(|error| file_error("read", output, error))? {
        let entry = entry.map_err(|error| file_error("read", output, error))?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !(is_file && is_file_name(&entry.path())) {
            return exec_err!(
                "'{name}' is not replaced: it holds '{}', which is not a Parquet file",
                entry.file_name().to_string_lossy()
            );
        }
    }
    Ok(())
}

/// Makes renames in a folder durable.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    // Only Unix can open a folder as a file.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
