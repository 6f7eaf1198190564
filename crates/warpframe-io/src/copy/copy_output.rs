//! The output of a `COPY` or `INSERT`: where it writes, and how its files appear there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use datafusion::common::{Result, exec_err};
use datafusion::datasource::physical_plan::FileSinkConfig;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use object_store::path::Path as ObjectPath;
use tempfile::TempDir;

use super::attempt_file::AttemptFile;
use super::copy_sink::CopySink;
use super::staged_files::StagedFiles;
use crate::local_files::{file_error, is_special_file};
use crate::object_location::ObjectLocation;
use crate::object_stores::is_object_store_url;
use crate::private_folder::private_folder;
use crate::task_attempts::{Attempts, ObjectStoreAttempts, checked_attempt_name};
use crate::unique_id::unique_id;

/// An output whose files are being written: a single file, or files that are added to a folder or prefix. Nothing is left
/// if the value is dropped before it is published.
#[derive(Debug)]
pub struct CopyOutput {
    folder: TempDir,
    target: Target,
    /// The name of the file, if the output is one.
    single_file: Option<String>,
}

#[derive(Debug)]
enum Target {
    /// The output, and the folder that the staged files are moved within: the output itself, or the nearest folder above it
    /// that exists.
    Local {
        output: PathBuf,
        existing: PathBuf,
    },
    ObjectStore(ObjectLocation),
}

impl CopyOutput {
    /// Prepares to write where a sink writes.
    ///
    /// # Errors
    /// The output is neither a file nor a folder, or a folder where a file is to be written, or a file where a folder is; or
    /// nothing can be written there.
    pub async fn new(config: &FileSinkConfig, runtime: &RuntimeEnv) -> Result<Self> {
        let Some(url) = config.table_paths.first() else {
            return exec_err!("there is no place to write to");
        };
        let name = match config.original_url.is_empty() {
            true => url.as_str(),
            false => &config.original_url,
        };
        if url.get_glob().is_some() && !config.original_url.is_empty() {
            return exec_err!("cannot write '{name}': it is a pattern, name a file or a folder");
        }
        let single_file = single_file(config);
        if is_local(config) {
            let Ok(output) = url.get_url().to_file_path() else {
                return exec_err!("cannot write '{name}': it is no path of this machine");
            };
            check_local(&output, single_file.is_some())?;
            let existing = existing_folder(&output)?;
            let folder = hidden_folder(".warpframe-", &existing, &output)?;
            return Ok(Self { folder, target: Target::Local { output, existing }, single_file });
        }
        let location = ObjectLocation::new(url.as_str(), runtime)?;
        let folder = private_folder("warpframe-");
        let folder = folder.map_err(|error| file_error("write", Path::new(name), error))?;
        Ok(Self { folder, target: Target::ObjectStore(location), single_file })
    }

    /// Writes rows with a sink whose configuration is that of the output, and publishes the files. Returns the number of
    /// rows.
    ///
    /// # Errors
    /// The rows cannot be computed, or the files cannot be written or published; then nothing of them is there.
    pub async fn write(
        self,
        sink: &CopySink,
        rows: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> Result<u64> {
        let (files, rows) = stage(sink, rows, self.folder.path(), context).await?;
        self.publish(files).await?;
        Ok(rows)
    }

    /// Creates a folder for the files of task attempts beside the output.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub async fn create_attempts(&self) -> Result<Attempts> {
        match &self.target {
            Target::ObjectStore(location) => {
                Ok(Attempts::object_store(ObjectStoreAttempts::create_beside(location).await?))
            }
            Target::Local { output, existing } => {
                // Executors may have another current folder, so the path must be absolute.
                let existing =
                    existing.canonicalize().map_err(|error| file_error("open", existing, error))?;
                Ok(Attempts::local(hidden_folder(".warpframe-attempts-", &existing, output)?))
            }
        }
    }

    /// Publishes the files of an attempt.
    ///
    /// # Errors
    /// A file is not there, or is not one of this output; or the files cannot be published. Then nothing of them is there.
    pub async fn publish_attempt(self, attempts: &Attempts, files: &[AttemptFile]) -> Result<()> {
        if let (Target::ObjectStore(location), Some(from)) = (&self.target, attempts.object_location()) {
            let copies = files.iter().map(|file| {
                let source = from.child(checked_attempt_name(&file.attempt)?);
                Ok((self.object(location, self.checked_name(&file.file)?), source))
            });
            let copies: Vec<_> = copies.collect::<Result<_>>()?;
            return location.publish_copies(copies, self.replaced_objects(location)).await;
        }
        for file in files {
            let to = self.folder.path().join(self.checked_name(&file.file)?);
            create_parent(&to)?;
            attempts.fetch(&file.attempt, &to).await?;
        }
        let files = files.iter().map(|file| file.file.clone()).collect();
        self.publish(files).await
    }

    /// Publishes staged files, given by their names in the folder.
    async fn publish(self, files: BTreeSet<String>) -> Result<()> {
        match &self.target {
            Target::ObjectStore(location) => {
                let objects =
                    files.iter().map(|file| (self.object(location, file), self.folder.path().join(file)));
                location.publish_files(objects.collect(), self.replaced_objects(location)).await
            }
            Target::Local { output, .. } => match &self.single_file {
                Some(name) => {
                    check_local(output, true)?;
                    create_parent(output)?;
                    fs::rename(self.folder.path().join(name), output)
                        .map_err(|error| file_error("write", output, error))
                }
                None => move_files(self.folder.path(), output, &files),
            },
        }
    }

    /// The object of a file of the output.
    fn object(&self, location: &ObjectLocation, file: &str) -> ObjectLocation {
        match &self.single_file {
            Some(_) => location.clone(),
            None => file.split('/').fold(location.clone(), |location, part| location.child(part)),
        }
    }

    fn replaced_objects(&self, location: &ObjectLocation) -> Vec<ObjectPath> {
        self.single_file.iter().map(|_| location.path.clone()).collect()
    }

    /// Checks that a name reported by an executor is that of a file in the output.
    fn checked_name<'a>(&self, file: &'a str) -> Result<&'a str> {
        let is_name = |part: &str| !part.is_empty() && !part.starts_with('.');
        let is_expected = match &self.single_file {
            Some(name) => name == file,
            None => file.split('/').all(is_name),
        };
        match is_expected {
            true => Ok(file),
            false => {
                exec_err!("an executor says that it has written '{file}', which is not a file of this query")
            }
        }
    }
}

/// Writes rows as the files of an attempt. `attempts` is the folder or URL of [`CopyOutput::create_attempts`]. Returns the
/// files and the number of rows.
///
/// # Errors
/// The rows cannot be computed or written; then the attempt leaves nothing.
pub(super) async fn write_attempt(
    sink: &CopySink,
    rows: SendableRecordBatchStream,
    attempts: &Path,
    context: &Arc<TaskContext>,
) -> Result<(Vec<AttemptFile>, u64)> {
    let runtime = context.runtime_env();
    let location = match attempts.to_str().filter(|attempts| is_object_store_url(attempts)) {
        Some(url) => Some(ObjectLocation::new(url, &runtime)?),
        None => None,
    };
    // Files for an object store are first written to a temporary folder of this host.
    let directory = match &location {
        Some(_) => runtime.disk_manager.temp_dir_paths().first().cloned().unwrap_or_else(std::env::temp_dir),
        None => attempts.to_owned(),
    };
    let folder = hidden_folder(".writing-", &directory, &directory)?;
    let (names, rows) = stage(sink, rows, folder.path(), context).await?;
    let mut files = Vec::new();
    for file in names {
        let staged = folder.path().join(&file);
        let attempt = match &location {
            Some(location) => ObjectStoreAttempts::add(location, &staged).await?,
            None => {
                let name = format!("attempt-{}.parquet", unique_id()?);
                fs::rename(&staged, attempts.join(&name))
                    .map_err(|error| file_error("write into", attempts, error))?;
                name
            }
        };
        files.push(AttemptFile { attempt, file });
    }
    Ok((files, rows))
}

/// Writes rows into a folder, and returns the names of the files and the number of rows.
async fn stage(
    sink: &CopySink,
    rows: SendableRecordBatchStream,
    folder: &Path,
    context: &Arc<TaskContext>,
) -> Result<(BTreeSet<String>, u64)> {
    let config = sink.config();
    let Some(url) = config.table_paths.first() else {
        return exec_err!("there is no place to write to");
    };
    let base = match single_file(config) {
        Some(_) => url.prefix().parts().take(url.prefix().parts_count().saturating_sub(1)).collect(),
        None => url.prefix().clone(),
    };
    let files = CloseOnDrop(StagedFiles::new(folder.to_owned(), base));
    let rows = sink.write_all(named_partitions(rows, config), &files.context(context)).await?;
    Ok((files.close(), rows))
}

/// The rows, up to the first whose partition column is NULL: DataFusion would write it into the folder of another value.
fn named_partitions(rows: SendableRecordBatchStream, config: &FileSinkConfig) -> SendableRecordBatchStream {
    if config.table_partition_cols.is_empty() {
        return rows;
    }
    let columns: Vec<_> = config.table_partition_cols.iter().map(|(name, _)| name.clone()).collect();
    let checked = move |batch: RecordBatch| {
        let has_nulls =
            |name: &&String| batch.column_by_name(name).is_some_and(|column| column.logical_null_count() > 0);
        match columns.iter().find(has_nulls) {
            None => Ok(batch),
            Some(name) => exec_err!(
                "the partition column '{name}' is NULL in a row, and no folder has that name: replace it, as by \
                 coalesce({name}, ...)"
            ),
        }
    };
    let schema = rows.schema();
    Box::pin(RecordBatchStreamAdapter::new(schema, rows.map(move |batch| batch.and_then(&checked))))
}

/// Ends the writing of staged files when it is dropped.
struct CloseOnDrop(Arc<StagedFiles>);

impl Deref for CloseOnDrop {
    type Target = Arc<StagedFiles>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The name of the file that a sink writes; `None` if it adds files to a folder.
fn single_file(config: &FileSinkConfig) -> Option<String> {
    let url = config.table_paths.first()?;
    let is_file = config.table_partition_cols.is_empty() && config.file_output_mode.single_file_output(url);
    url.prefix().filename().filter(|_| is_file).map(str::to_owned)
}

fn is_local(config: &FileSinkConfig) -> bool {
    config.object_store_url.as_str().starts_with("file:")
}

/// Checks that an output may be written.
fn check_local(output: &Path, is_file: bool) -> Result<()> {
    let name = output.display();
    if is_special_file(output) {
        return exec_err!(
            "cannot write '{name}' by COPY: it is a pipe, a device or a socket; `--out` writes results there"
        );
    }
    match output.metadata() {
        Ok(found) if is_file && found.is_dir() => {
            exec_err!("cannot replace '{name}' by a file: it is a folder")
        }
        Ok(found) if !is_file && !found.is_dir() => {
            exec_err!("cannot add files to '{name}': it is a file")
        }
        _ => Ok(()),
    }
}

/// The nearest existing folder that is `output` or above it.
fn existing_folder(output: &Path) -> Result<PathBuf> {
    match output.ancestors().find(|folder| folder.is_dir()) {
        Some(folder) => Ok(folder.to_owned()),
        None => exec_err!("cannot write '{}': there is no folder above it", output.display()),
    }
}

/// Creates a temporary folder in another one, for files of an output.
fn hidden_folder(prefix: &str, parent: &Path, output: &Path) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    // Folders in it become folders of the output, and executors of other users may write into it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(parent).map_err(|error| file_error("write", output, error))
}

fn create_parent(file: &Path) -> Result<()> {
    let Some(parent) = file.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| file_error("create", parent, error))
}

/// Moves files from one folder into another, all or none.
fn move_files(from: &Path, to: &Path, files: &BTreeSet<String>) -> Result<()> {
    let mut moved: Vec<PathBuf> = Vec::new();
    for file in files {
        let target = to.join(file);
        let done = create_parent(&target).and_then(|()| {
            fs::rename(from.join(file), &target).map_err(|error| file_error("write", &target, error))
        });
        if let Err(error) = done {
            for target in moved {
                let _ = fs::remove_file(target);
            }
            return Err(error);
        }
        moved.push(target);
    }
    sync_folders(to, files).map_err(|error| file_error("write", to, error))
}

/// Syncs the folders of files, so that their names are durable.
fn sync_folders(output: &Path, files: &BTreeSet<String>) -> std::io::Result<()> {
    let folders: BTreeSet<_> =
        files.iter().filter_map(|file| output.join(file).parent().map(Path::to_owned)).collect();
    // Only Unix can open a folder as a file.
    folders.iter().filter(|_| cfg!(unix)).try_for_each(|folder| File::open(folder)?.sync_all())
}
