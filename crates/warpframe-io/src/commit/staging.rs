//! An output that is being written. All files of a run are written to a hidden folder beside a local output, or to a temporary
//! folder of this host if the output is in an object store.

use std::fs;
use std::path::{Path, PathBuf};

use datafusion::common::{Result, exec_err};
use datafusion::execution::runtime_env::RuntimeEnv;

use super::local_output::LocalOutput;
use super::object_store_output::ObjectStoreOutput;
use super::output_kind::{OutputKind, OutputMode};
use super::owned_folder::OwnedFolder;
use super::private_folder::private_folder;
use super::replaceable::is_file_name;
use super::task_attempts::{Attempts, ObjectStoreAttempts};
use crate::file_error::file_error;
use crate::object_location::ObjectLocation;
use crate::url_schemes::is_object_store_url;

/// An output that is being written. Nothing is left of it if the value is dropped before it is published; if the process is
/// killed, a later run to the same place removes what is left.
#[derive(Debug)]
pub struct Staging {
    target: Target,
    kind: OutputKind,
}

#[derive(Debug)]
enum Target {
    Local(LocalOutput),
    ObjectStore { output: ObjectStoreOutput, folder: OwnedFolder },
}

impl Staging {
    /// Prepares to write `output`, a local path or a URL in an object store of the runtime, as Parquet: one file if the name
    /// ends in `.parquet`, otherwise a folder.
    ///
    /// # Errors
    /// The output exists and `overwrite` is false; it exists and is not replaceable (a folder that holds anything but Parquet
    /// files, a folder where a file is to be written, a file where a folder is to be written, or a device); another run
    /// writes it; or its parent folder does not exist or is not writable.
    pub async fn new(output: &Path, overwrite: bool, runtime: &RuntimeEnv) -> Result<Self> {
        match is_file_name(output) {
            true => Self::new_file(output, overwrite, runtime).await,
            false => Self::new_folder(output, replace_if(overwrite), "parquet", runtime).await,
        }
    }

    /// Prepares to write `output` as one file, regardless of its extension.
    ///
    /// # Errors
    /// The same as for [`new`](Self::new).
    pub async fn new_file(output: &Path, overwrite: bool, runtime: &RuntimeEnv) -> Result<Self> {
        Self::prepare(output, OutputKind::File, replace_if(overwrite), runtime).await
    }

    /// Prepares to write `output` as a folder of files with an extension (without its dot), in it or in partition folders.
    ///
    /// # Errors
    /// The same as for [`new`](Self::new), for files with this extension. With [`OutputMode::Append`] an existing output may
    /// hold anything, but is not a file.
    pub async fn new_folder(
        output: &Path,
        mode: OutputMode,
        extension: &str,
        runtime: &RuntimeEnv,
    ) -> Result<Self> {
        let kind = OutputKind::Folder { extension: extension.to_owned() };
        Self::prepare(output, kind, mode, runtime).await
    }

    async fn prepare(
        output: &Path,
        kind: OutputKind,
        mode: OutputMode,
        runtime: &RuntimeEnv,
    ) -> Result<Self> {
        let target = match output.to_str().filter(|name| is_object_store_url(name)) {
            None => Target::Local(LocalOutput::prepare(output, kind.clone(), mode).await?),
            Some(url) => {
                let failed = |error| file_error("write", output, error);
                let folder = private_folder("warpframe-").map_err(failed)?;
                fs::create_dir(folder.path().join("data")).map_err(failed)?;
                let location = ObjectLocation::new(url, runtime)?;
                let output = ObjectStoreOutput::prepare(location, kind.clone(), mode, folder.id()).await?;
                Target::ObjectStore { output, folder }
            }
        };
        Ok(Self { target, kind })
    }

    /// Whether the output is one file and not a folder.
    pub fn is_file(&self) -> bool {
        self.kind == OutputKind::File
    }

    /// The identifier of the run, 32 hexadecimal digits that no other run has.
    pub fn run(&self) -> &str {
        self.folder().id()
    }

    /// The local folder that all files of the output are written to; it exists. Its partition folders are created by the
    /// caller. The names of all files contain [`run`](Self::run).
    pub fn data(&self) -> PathBuf {
        self.folder().path().join("data")
    }

    /// The name of the `part`-th file with an extension: `part-00001-RUN.EXTENSION`. The names sort by number up to 99,999.
    pub fn part_name(&self, part: usize, extension: &str) -> String {
        format!("{}.{extension}", self.part_stem(part))
    }

    /// The name of the `part`-th file without its extension: `part-00001-RUN`.
    pub fn part_stem(&self, part: usize) -> String {
        format!("part-{part:05}-{}", self.run())
    }

    /// The path to which the `part`-th Parquet file is written.
    pub fn shard_path(&self, part: usize) -> PathBuf {
        self.data().join(self.part_name(part, "parquet"))
    }

    fn folder(&self) -> &OwnedFolder {
        match &self.target {
            Target::Local(output) => output.folder(),
            Target::ObjectStore { folder, .. } => folder,
        }
    }

    /// Creates a folder for the files of task attempts beside the output.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub async fn create_attempts(&self) -> Result<Attempts> {
        match &self.target {
            Target::Local(output) => {
                let folder = output.folder().path().join("attempts");
                fs::create_dir(&folder).map_err(|error| file_error("create", &folder, error))?;
                Ok(Attempts::local(folder))
            }
            Target::ObjectStore { output, .. } => {
                let attempts = ObjectStoreAttempts::create_beside(output.location(), self.run()).await?;
                Ok(Attempts::object_store(attempts))
            }
        }
    }

    /// Publishes the files in [`data`](Self::data) as the output: all of them, or the only one if it is a single file. What
    /// it replaces is removed afterwards.
    ///
    /// # Errors
    /// The output has been created in the meantime, or the file system or object store refuses an operation; then an
    /// existing output is unchanged. Or what was replaced cannot be removed; then the new output is complete, and the error
    /// says so.
    pub async fn publish(self) -> Result<()> {
        let file = self.shard_path(0);
        let data = self.data();
        match self.target {
            Target::Local(output) => output.publish(&file),
            Target::ObjectStore { output, folder } => {
                let files = match self.kind {
                    OutputKind::File => vec![(String::new(), file)],
                    OutputKind::Folder { .. } => files_below(&data)?,
                };
                let published = output.publish_files(files).await;
                drop(folder);
                published
            }
        }
    }

    /// Publishes the objects of attempts as the files of an output folder in an object store, without downloading them, as
    /// pairs of the path below the output, whose last part contains [`run`](Self::run), and the path below the attempts.
    /// Returns false, having done nothing, if the output is local or a single file.
    ///
    /// # Errors
    /// The same as for [`publish`](Self::publish).
    pub async fn publish_attempts(&self, attempts: &Attempts, files: &[(String, String)]) -> Result<bool> {
        let (Target::ObjectStore { output, .. }, Some(location), false) =
            (&self.target, attempts.object_location(), self.is_file())
        else {
            return Ok(false);
        };
        let mut copies = Vec::new();
        for (to, from) in files {
            copies.push((to.clone(), attempts.object(location, from)?));
        }
        output.publish_copies(copies).await?;
        Ok(true)
    }
}

fn replace_if(overwrite: bool) -> OutputMode {
    if overwrite { OutputMode::Replace } else { OutputMode::Create }
}

/// All files below a folder, with their paths relative to it, with `/` between folders.
fn files_below(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            match entry.file_type()?.is_dir() {
                true => collect(&entry.path(), &format!("{name}/"), files)?,
                false => files.push((name, entry.path())),
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    collect(folder, "", &mut files).map_err(|error| file_error("read", folder, error))?;
    match files.is_empty() {
        true => exec_err!("there is nothing to write in '{}'", folder.display()),
        false => Ok(files),
    }
}
