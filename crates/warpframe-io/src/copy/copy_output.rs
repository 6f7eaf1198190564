//! The output of a `COPY` or `INSERT`: where it writes, and how its files appear there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use datafusion::common::{Result, exec_err};
use datafusion::datasource::physical_plan::FileSinkConfig;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::attempt_file::AttemptFile;
use super::copy_sink::CopySink;
use super::created_folders::CreatedFolders;
use super::staged_files::StagedFiles;
use crate::commit::{Attempts, ObjectStoreAttempts, OutputMode, Staging, private_folder_in};
use crate::file_error::file_error;
use crate::object_location::ObjectLocation;
use crate::partition_folders::null_partition;
use crate::url_schemes::is_object_store_url;

/// An output whose files are being written: a single file, which is replaced if it exists, or files that are added to a
/// folder or prefix. Nothing is left if the value is dropped before it is published.
#[derive(Debug)]
pub struct CopyOutput {
    staging: Staging,
    extension: String,
    /// Removes the folders that were created for the output if they stay empty. Dropped after `staging`, which has a folder
    /// in them.
    _folders: CreatedFolders,
}

impl CopyOutput {
    /// Prepares to write where a sink writes. The folders above a local output are created.
    ///
    /// # Errors
    /// The output is a pattern; it is neither a file nor a folder, or a folder where a file is to be written, or a file where
    /// a folder is; nothing can be written there; or another run replaces it.
    pub async fn new(config: &FileSinkConfig, runtime: &RuntimeEnv) -> Result<Self> {
        let Some(url) = config.table_paths.first() else {
            return exec_err!("there is no place to write to");
        };
        // The location of a table may be one: its first folder takes the files.
        if url.get_glob().is_some() && !config.original_url.is_empty() {
            return exec_err!(
                "cannot write '{}': it is a pattern, name a file or a folder",
                config.original_url
            );
        }
        let output = match url.scheme() {
            // Without the '/' at the end, which would say that a file is missing rather than that it is no folder.
            "file" => url.get_url().to_file_path().ok().map(|path| path.components().collect()),
            _ => Some(PathBuf::from(url.as_str())),
        };
        let Some(output) = output else {
            return exec_err!("cannot write '{url}': it is no path of this machine");
        };
        let folders = match (url.scheme(), output.parent()) {
            ("file", Some(parent)) => CreatedFolders::create(parent)?,
            _ => CreatedFolders::default(),
        };
        let extension = config.file_extension.clone();
        let staging = match is_single_file(config) {
            true => Staging::new_file(&output, true, runtime).await?,
            false => Staging::new_folder(&output, OutputMode::Append, &extension, runtime).await?,
        };
        Ok(Self { staging, extension, _folders: folders })
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
        let data = self.staging.data();
        let (files, rows) = stage(sink, rows, &data, context).await?;
        for AttemptFile { attempt, file } in &files {
            let to = self.staged_path(file)?;
            fs::rename(data.join(attempt), &to).map_err(|error| file_error("write", &to, error))?;
        }
        self.publish(files.len()).await?;
        Ok(rows)
    }

    /// Creates a folder for the files of task attempts beside the output.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub async fn create_attempts(&self) -> Result<Attempts> {
        self.staging.create_attempts().await
    }

    /// Publishes the files of an attempt.
    ///
    /// # Errors
    /// A file is not there, or is not one of this output; or the files cannot be published. Then nothing of them is there.
    pub async fn publish_attempt(self, attempts: &Attempts, files: &[AttemptFile]) -> Result<()> {
        for AttemptFile { file, .. } in files {
            if !file.split('/').all(|part| !part.is_empty() && !part.starts_with('.')) {
                return exec_err!(
                    "an executor says that it has written '{file}', which is not a file of this query"
                );
            }
        }
        let named = files.iter().map(|file| (self.published_name(&file.file), file.attempt.clone()));
        let named: Vec<_> = named.collect();
        if named.is_empty() || self.staging.publish_attempts(attempts, &named).await? {
            return Ok(());
        }
        for AttemptFile { attempt, file } in files {
            let to = self.staged_path(file)?;
            attempts.fetch(attempt, &to).await?;
        }
        self.publish(files.len()).await
    }

    /// Publishes the staged files. A query without rows has none for a folder.
    async fn publish(self, files: usize) -> Result<()> {
        match files {
            0 => Ok(()),
            _ => self.staging.publish().await,
        }
    }

    /// The name in an output folder of a file that a sink has named: in the same partition folders, with the run's identifier
    /// instead of the sink's, which every attempt has anew.
    fn published_name(&self, file: &str) -> String {
        let (folders, name) =
            file.rsplit_once('/').map_or((None, file), |(folders, name)| (Some(folders), name));
        let name = self.staging.part_name(part_number(name), &self.extension);
        folders.map_or(name.clone(), |folders| format!("{folders}/{name}"))
    }

    /// Where a file that a sink has named is published from, in a folder that exists.
    fn staged_path(&self, file: &str) -> Result<PathBuf> {
        if self.staging.is_file() {
            return Ok(self.staging.shard_path(0));
        }
        let path = self.staging.data().join(self.published_name(file));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| file_error("create", folder, error))?;
        }
        Ok(path)
    }
}

/// The number of a sink's file: DataFusion names the files of a folder `IDENTIFIER_0.csv`, `IDENTIFIER_1.csv` and so on, and
/// the only file of a partition folder `IDENTIFIER.csv`.
fn part_number(name: &str) -> usize {
    let number = name.split('.').next().and_then(|stem| stem.rsplit_once('_')).map(|(_, number)| number);
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
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
    let Some(url) = attempts.to_str().filter(|attempts| is_object_store_url(attempts)) else {
        return stage(sink, rows, attempts, context).await;
    };
    let location = ObjectLocation::new(url, &runtime)?;
    // Files for an object store are first written to a temporary folder of this host.
    let temporary = runtime.disk_manager.temp_dir_paths().first().cloned();
    let folder = private_folder_in("warpframe-", &temporary.unwrap_or_else(std::env::temp_dir));
    let folder = folder.map_err(|error| file_error("write", attempts, error))?;
    let (mut files, rows) = stage(sink, rows, folder.path(), context).await?;
    let extension = &sink.config().file_extension;
    for file in &mut files {
        let path = folder.path().join(&file.attempt);
        file.attempt = ObjectStoreAttempts::add(&location, &path, extension).await?;
    }
    Ok((files, rows))
}

/// Writes rows into a folder, and returns the files and the number of rows.
async fn stage(
    sink: &CopySink,
    rows: SendableRecordBatchStream,
    folder: &Path,
    context: &Arc<TaskContext>,
) -> Result<(Vec<AttemptFile>, u64)> {
    let config = sink.config();
    let Some(url) = config.table_paths.first() else {
        return exec_err!("there is no place to write to");
    };
    let base = match is_single_file(config) {
        true => url.prefix().parts().take(url.prefix().parts_count().saturating_sub(1)).collect(),
        false => url.prefix().clone(),
    };
    let files = StagedFiles::new(folder.to_owned(), base);
    let rows = sink.write_all(named_partitions(rows, config), &files.context(context)).await;
    let rows = rows.map_err(|error| files.cause(error))?;
    Ok((files.finish(), rows))
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
            Some(name) => Err(null_partition(name)),
        }
    };
    let schema = rows.schema();
    Box::pin(RecordBatchStreamAdapter::new(schema, rows.map(move |batch| batch.and_then(&checked))))
}

/// Whether a sink writes one file, and does not add files to a folder.
fn is_single_file(config: &FileSinkConfig) -> bool {
    config.table_partition_cols.is_empty()
        && config.table_paths.first().is_some_and(|url| config.file_output_mode.single_file_output(url))
}
