//! Staging of outputs, which appear under their names only when they are complete. All files are written into a
//! hidden folder beside the output, synced, and renamed. For an output in an object store, the folder is a temporary
//! one of this host, and its files are uploaded. The folder is removed if the output is not published.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use datafusion::common::{Result, exec_err};
use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::path::Path as ObjectPath;
use tempfile::TempDir;

use super::exit_cleanup::{keep_at_exit, remove_at_exit};
use super::local_files::{file_error, is_special_file};
use super::object_location::ObjectLocation;
use super::object_stores::is_object_store_url;
use super::private_folder::{private_folder, private_folder_in};
use super::task_attempts::{Attempts, ObjectStoreAttempts, checked_attempt_name};
use super::unique_id::unique_id;

/// An output that is being written. Nothing is left of it if the value is dropped before it is published.
#[derive(Debug)]
pub struct Staging {
    folder: TempDir,
    target: Target,
    is_file: bool,
    overwrite: bool,
}

#[derive(Debug)]
enum Target {
    Local { parent: PathBuf, output: PathBuf },
    ObjectStore(ObjectLocation),
}

impl Staging {
    /// Prepares to write `output`, a local path or a URL in an object store of the runtime: one file if the name
    /// ends in `.parquet`, otherwise a folder.
    ///
    /// # Errors
    /// The output exists and `overwrite` is false; it exists and is not replaceable (a folder that holds anything
    /// but Parquet files, a folder where a file is to be written, or a file where a folder is to be written); or
    /// its parent folder does not exist or is not writable.
    pub async fn new(output: &Path, overwrite: bool, runtime: &RuntimeEnv) -> Result<Self> {
        Self::prepare(output, is_file_name(output), overwrite, runtime).await
    }

    /// Prepares to write `output` as one file, regardless of its extension.
    ///
    /// # Errors
    /// The same as for [`new`](Self::new).
    pub async fn new_file(output: &Path, overwrite: bool, runtime: &RuntimeEnv) -> Result<Self> {
        Self::prepare(output, true, overwrite, runtime).await
    }

    async fn prepare(output: &Path, is_file: bool, overwrite: bool, runtime: &RuntimeEnv) -> Result<Self> {
        if let Some(url) = output.to_str().filter(|name| is_object_store_url(name)) {
            let location = ObjectLocation::new(url, runtime)?;
            replaceable_objects(&location, is_file, overwrite).await?;
            let folder = private_folder("warpframe-");
            let folder = folder.map_err(|error| file_error("write", output, error))?;
            return Ok(Self { folder, target: Target::ObjectStore(location), is_file, overwrite });
        }
        check_replaceable(output, is_file, overwrite)?;
        let output = &follow_link(output)?;
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
        // The folder becomes the output, which has the permissions of a new folder: 0777 less the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder.tempdir_in(&parent).map_err(|error| file_error("write", output, error))?;
        remove_at_exit(folder.path());
        let target = Target::Local { parent, output: output.to_owned() };
        Ok(Self { folder, target, is_file, overwrite })
    }

    /// Whether the output is one file and not a folder.
    pub fn is_file(&self) -> bool {
        self.is_file
    }

    /// The path to which the `shard`-th part is written. The paths sort by number up to 99,999.
    pub fn shard_path(&self, shard: usize) -> PathBuf {
        self.folder.path().join(shard_name(shard))
    }

    /// Creates a folder for the files of task attempts beside the output.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub async fn create_attempts(&self) -> Result<Attempts> {
        let (parent, output) = match &self.target {
            Target::ObjectStore(location) => {
                return Ok(Attempts::object_store(ObjectStoreAttempts::create_beside(location).await?));
            }
            Target::Local { parent, output } => (parent, output),
        };
        // Executors may have another current folder, so the path must be absolute.
        let parent = parent.canonicalize().map_err(|error| file_error("open", parent, error))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".warpframe-attempts-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder.tempdir_in(parent).map_err(|error| file_error("write", output, error))?;
        remove_at_exit(folder.path());
        Ok(Attempts::local(folder))
    }

    /// Publishes the staged folder, or the single file in it, under the name of the output.
    ///
    /// # Errors
    /// The output has been created in the meantime, or the file system or object store refuses an operation; then an
    /// existing output is unchanged. Or replaced objects cannot be removed; then the new output is complete, and the
    /// error names the objects.
    pub async fn publish(self) -> Result<()> {
        let (parent, output) = match &self.target {
            Target::ObjectStore(location) => return self.upload(location).await,
            Target::Local { parent, output } => (parent, output),
        };
        let failed = |error| file_error("write", output, error);
        check_replaceable(output, self.is_file, self.overwrite)?;
        sync_folder(self.folder.path()).map_err(failed)?;
        let staged = if self.is_file() { self.shard_path(0) } else { self.folder.path().to_owned() };
        if output.is_dir() {
            // A folder that is not empty cannot be replaced by a rename: move the old one aside, and back on failure.
            let old = private_folder_in(".warpframe-old-", parent).map_err(failed)?;
            keep_at_exit(old.path());
            let aside = old.path().join("old");
            fs::rename(output, &aside).map_err(failed)?;
            if let Err(error) = fs::rename(&staged, output) {
                if fs::rename(&aside, output).is_err() {
                    // Not removed with the temporary folder: it is the only copy.
                    let kept = old.keep().join("old");
                    return exec_err!(
                        "cannot write '{}': {error}; the old output is in '{}' now: move it back",
                        output.display(),
                        kept.display()
                    );
                }
                return Err(failed(error));
            }
        } else {
            fs::rename(&staged, output).map_err(failed)?;
        }
        sync_folder(parent).map_err(failed)?;
        if !self.is_file() {
            // The folder has been renamed, so there is nothing to remove.
            let _ = self.folder.keep();
        }
        Ok(())
    }

    /// Uploads the files of the staged folder, or the single file in it.
    async fn upload(&self, location: &ObjectLocation) -> Result<()> {
        let folder = self.folder.path();
        let failed = |error| file_error("read", folder, error);
        let replaced = replaceable_objects(location, self.is_file, self.overwrite).await?;
        let mut files = Vec::new();
        if self.is_file {
            files.push((location.clone(), self.shard_path(0)));
        } else {
            let suffix = object_suffix(&replaced)?;
            for file in fs::read_dir(folder).map_err(failed)? {
                let path = file.map_err(failed)?.path();
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                files.push((location.child(&format!("{name}{suffix}")), path));
            }
        }
        location.publish_files(files, replaced).await
    }

    /// Publishes the objects of attempts, given by shard number and name, as the shards of an output folder in an
    /// object store, without downloading them. Returns false, having done nothing, if the output is local or a
    /// single file.
    ///
    /// # Errors
    /// The same as for [`publish`](Self::publish).
    pub async fn publish_attempts(&self, attempts: &Attempts, shards: &[(usize, String)]) -> Result<bool> {
        let (Target::ObjectStore(location), Some(attempts), false) =
            (&self.target, attempts.object_location(), self.is_file)
        else {
            return Ok(false);
        };
        let replaced = replaceable_objects(location, false, self.overwrite).await?;
        let suffix = object_suffix(&replaced)?;
        let copies = shards.iter().map(|(number, name)| {
            let shard = location.child(&format!("{}{suffix}", shard_stem(*number)));
            Ok((shard, attempts.child(checked_attempt_name(name)?)))
        });
        location.publish_copies(copies.collect::<Result<_>>()?, replaced).await?;
        Ok(true)
    }
}

/// The file name of the `shard`-th part of an output.
fn shard_name(shard: usize) -> String {
    format!("{}.parquet", shard_stem(shard))
}

fn shard_stem(shard: usize) -> String {
    format!("part-{shard:05}")
}

/// The suffix of the names of an output's objects, which makes them differ from those of the objects it replaces.
fn object_suffix(replaced: &[ObjectPath]) -> Result<String> {
    match replaced.is_empty() {
        true => Ok(".parquet".to_owned()),
        false => Ok(format!("-{}.parquet", unique_id()?)),
    }
}

/// Whether an output of this name is a single Parquet file and not a folder.
pub(super) fn is_file_name(output: &Path) -> bool {
    output.extension().is_some_and(|extension| extension == "parquet")
}

/// The path behind symbolic links, so that an output replaces the file that a link points to and not the link.
fn follow_link(output: &Path) -> Result<PathBuf> {
    match output.is_symlink() {
        true => output.canonicalize().map_err(|error| file_error("write", output, error)),
        false => Ok(output.to_owned()),
    }
}

/// Checks that `output` does not exist, or may be replaced.
fn check_replaceable(output: &Path, is_file: bool, overwrite: bool) -> Result<()> {
    let name = output.display();
    if is_special_file(output) {
        return exec_err!("cannot write '{name}': it is a pipe, a device or a socket, choose another name");
    }
    let Ok(metadata) = output.symlink_metadata() else {
        return Ok(());
    };
    if !overwrite {
        return exec_err!("'{name}' exists already: choose another name, or add --overwrite to replace it");
    }
    let Ok(metadata) = output.metadata() else {
        return match metadata.is_symlink() {
            true => exec_err!("cannot replace '{name}': it is a link to a missing file, remove it first"),
            false => Ok(()),
        };
    };
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

/// The objects that an output replaces.
///
/// # Errors
/// There are any and `overwrite` is false, or they are not the output of an earlier run.
async fn replaceable_objects(
    location: &ObjectLocation,
    is_file: bool,
    overwrite: bool,
) -> Result<Vec<ObjectPath>> {
    let (objects, name) = (location.objects().await?, location.url());
    if objects.is_empty() {
        return Ok(objects);
    }
    if !overwrite {
        return exec_err!("'{name}' exists already: choose another name, or add --overwrite to replace it");
    }
    match (is_file, location.is_object_among(&objects)) {
        (true, false) => exec_err!("cannot replace '{name}' by a file: it is a folder"),
        (false, true) => exec_err!("cannot replace '{name}' by a folder: it is a file"),
        (false, false) if !location.holds_only_parquet(&objects) => {
            exec_err!("'{name}' is not replaced: there are objects below it that are not Parquet files")
        }
        _ => Ok(objects),
    }
}

/// Syncs a folder, so that renames in it are durable.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    // Only Unix can open a folder as a file.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
