//! The publication of a local output.
//!
//! A new file or folder is renamed into place unless the name exists by then. An existing file is replaced by a rename, an
//! existing folder by an exchange of the two names, after which the old one is removed with the folder of the run. Where a
//! folder cannot be exchanged, and where files are added to a folder, they are moved into it one after the other under a
//! [journal](super::journal).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use datafusion::common::{DataFusionError, Result, exec_err, internal_err};

use super::atomic_rename::{exchange, is_refused, rename_new};
use super::journal::{JOURNAL, Journal, Phase, is_journal};
use super::output_kind::{OutputKind, OutputMode};
use super::output_lock::{Access, OutputLock};
use super::owned_folder::OwnedFolder;
use super::replaceable::{check_extendable, check_replaceable, exists_already, follow_link, output_files};
use super::sweep::sweep;
use crate::background_cleanup::with_cleanup_error;
use crate::file_error::file_error;

/// The beginning of the name of a journal that is being written.
const UNFINISHED_JOURNAL: &str = ".warpframe-journal-";

/// A local output that is being written.
#[derive(Debug)]
pub(super) struct LocalOutput {
    output: PathBuf,
    kind: OutputKind,
    mode: OutputMode,
    /// Locked until everything else is done: fields are dropped in this order.
    folder: OwnedFolder,
    lock: OutputLock,
}

impl LocalOutput {
    /// Locks the output, repairs what a killed run has left of it, and creates a folder for the files of the run.
    ///
    /// # Errors
    /// The output may not be replaced, another run writes it, or its parent folder is missing or not writable.
    pub async fn prepare(output: &Path, kind: OutputKind, mode: OutputMode) -> Result<Self> {
        check(output, &kind, mode)?;
        let output = follow_link(output)?;
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
        // Files cannot be renamed from another file system, and a mount point is not exchanged anyhow.
        let beside = if is_mount_point(&output, &parent) { &output } else { &parent };
        let failed = |error: Error| file_error("write", &output, error);
        let folder = OwnedFolder::create(beside, ".warpframe-", 0o777).map_err(failed)?;
        sweep(beside, &folder);
        fs::create_dir(folder.path().join("data")).map_err(failed)?;
        let access = match mode {
            OutputMode::Append => Access::Shared,
            OutputMode::Create | OutputMode::Replace => Access::Exclusive,
        };
        if access == Access::Shared && output.is_dir() {
            // Repairs need an exclusive lock. If other runs add files at this moment, a later run repairs.
            if needs_repair(&output)
                && let Ok(lock) = OutputLock::acquire(beside, &output, Access::Exclusive).await
            {
                repair(&output, &lock)?;
            }
        }
        let lock = OutputLock::acquire(beside, &output, access).await?;
        if access == Access::Exclusive && output.is_dir() {
            repair(&output, &lock)?;
        }
        check(&output, &kind, mode)?;
        Ok(Self { output, kind, mode, folder, lock })
    }

    /// The folder of the run.
    pub fn folder(&self) -> &OwnedFolder {
        &self.folder
    }

    /// The folder for the files of the output.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Publishes the folder, or the file `file` in it, and removes what it has replaced.
    ///
    /// # Errors
    /// The output has been created in the meantime, or the file system refuses an operation; then an existing output is
    /// unchanged. Or what was replaced cannot be removed; then the new output is complete, and the error says so.
    pub fn publish(self, file: &Path) -> Result<()> {
        check(&self.output, &self.kind, self.mode)?;
        match &self.kind {
            OutputKind::File => self.publish_file(file)?,
            OutputKind::Folder { .. } => self.publish_folder()?,
        }
        let Self { output, folder, lock, .. } = self;
        let path = folder.path().to_owned();
        let removed = folder.remove();
        drop(lock);
        removed.map_err(|error| {
            DataFusionError::Execution(format!(
                "the new output in '{}' is whole, but '{}' cannot be removed: {error}",
                output.display(),
                path.display()
            ))
        })
    }

    fn publish_file(&self, file: &Path) -> Result<()> {
        let (output, failed) = (&self.output, |error: Error| file_error("write", &self.output, error));
        match self.mode {
            OutputMode::Replace => fs::rename(file, output).map_err(failed)?,
            OutputMode::Create | OutputMode::Append => self.rename_new(file)?,
        }
        sync_folder(parent_of(output)).map_err(failed)
    }

    fn publish_folder(&self) -> Result<()> {
        let (data, output) = (self.data(), &self.output);
        let failed = |error: Error| file_error("write", output, error);
        sync_folders(&data).map_err(failed)?;
        match self.mode {
            OutputMode::Replace if output.is_dir() => match exchange(&data, output) {
                Err(error) if is_refused(&error) => return self.publish_in_place(),
                exchanged => exchanged.map_err(failed)?,
            },
            OutputMode::Append if output.is_dir() => return self.publish_in_place(),
            // Another run that adds files may create the folder at this moment.
            OutputMode::Append => match self.rename_new(&data) {
                Err(_) if output.is_dir() => return self.publish_in_place(),
                renamed => renamed?,
            },
            OutputMode::Create | OutputMode::Replace => self.rename_new(&data)?,
        }
        sync_folder(parent_of(output)).map_err(failed)
    }

    /// Renames a staged file or folder to the name of the output, unless that exists by now.
    fn rename_new(&self, staged: &Path) -> Result<()> {
        let renamed = match rename_new(staged, &self.output) {
            Err(error) if is_refused(&error) => rename_new_under_lock(staged, &self.output),
            renamed => renamed,
        };
        renamed.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => exists_already(&self.output.display().to_string()),
            _ => file_error("write", &self.output, error),
        })
    }

    /// Moves the staged files into the existing folder. With [`OutputMode::Replace`] they replace its files.
    fn publish_in_place(&self) -> Result<()> {
        let (output, run) = (&self.output, self.folder.id().to_owned());
        let failed = |error: Error| file_error("write", output, error);
        let OutputKind::Folder { extension } = &self.kind else {
            return internal_err!("a single file is not published in place");
        };
        let new: BTreeSet<_> = output_files(&self.data(), extension)?.into_iter().collect();
        if let Some(other) = new.iter().find(|name| !name.contains(&run)) {
            return internal_err!("the name of '{other}' is without the identifier of the run");
        }
        let (journal, replaced) = match self.mode {
            OutputMode::Replace => {
                (output.join(JOURNAL), output_files(output, extension)?.into_iter().collect())
            }
            _ => (output.join(Journal::name_of_addition(&run)), BTreeSet::new()),
        };
        let publishing = Journal { run: run.clone(), phase: Phase::Publishing { new: new.clone() } };
        let undone = |error| {
            let undone = remove_files(output, &new).and_then(|()| remove_journal(&journal));
            Err(with_cleanup_error(error, undone.map_err(failed)))
        };
        if let Err(error) =
            write_journal(&journal, &publishing).and_then(|()| self.move_files(&new).map_err(failed))
        {
            return undone(error);
        }
        let committed = Journal { run, phase: Phase::Committed { replaced: replaced.clone() } };
        if let Err(error) = write_journal(&journal, &committed) {
            // The journal may have been replaced before an error of the disk: the files are removed only under the first one.
            // Otherwise a later run completes or undoes this one.
            return match write_journal(&journal, &publishing) {
                Ok(()) => undone(error),
                Err(_) => Err(error),
            };
        }
        remove_files(output, &replaced).and_then(|()| remove_journal(&journal)).map_err(|error| {
            DataFusionError::Execution(format!(
                "the new output in '{}' is whole, but files of the old one lie beside it: {error}",
                output.display()
            ))
        })
    }

    fn move_files(&self, names: &BTreeSet<String>) -> std::io::Result<()> {
        let data = self.data();
        for name in names {
            let (from, to) = (data.join(name), self.output.join(name));
            fs::create_dir_all(parent_of(&to))?;
            match rename_new(&from, &to) {
                Err(error) if is_refused(&error) => copy_new(&from, &to)?,
                moved => moved?,
            }
        }
        sync_folders_of(&self.output, names)
    }
}

fn check(output: &Path, kind: &OutputKind, mode: OutputMode) -> Result<()> {
    match mode {
        OutputMode::Append => check_extendable(output),
        OutputMode::Create | OutputMode::Replace => {
            check_replaceable(output, kind, mode == OutputMode::Replace)
        }
    }
}

/// Completes or undoes what killed runs have left in an output folder.
///
/// # Errors
/// A file cannot be read or removed, or it cannot be known whether the runs have ended.
fn repair(output: &Path, lock: &OutputLock) -> Result<()> {
    let failed = |error: Error| file_error("repair", output, error);
    for entry in fs::read_dir(output).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, path) = (entry.file_name(), entry.path());
        let Some(name) = name.to_str() else { continue };
        let unfinished = name.starts_with(UNFINISHED_JOURNAL);
        if !is_journal(name) && !unfinished {
            continue;
        }
        if !lock.is_supported() {
            return exec_err!(
                "cannot write '{}': it holds '{name}' of another run, and the file system has no locks that would say whether that has ended",
                output.display()
            );
        }
        if unfinished {
            fs::remove_file(&path).map_err(failed)?;
            continue;
        }
        let text = fs::read(&path).map_err(failed)?;
        let journal = Journal::parse(&text);
        let journal = journal.map_err(|error| file_error("read", &path, error.find_root().message()))?;
        remove_files(output, journal.ignored()).and_then(|()| remove_journal(&path)).map_err(failed)?;
    }
    Ok(())
}

/// Whether a folder has a journal, complete or not.
fn needs_repair(output: &Path) -> bool {
    let is_one = |name: &str| is_journal(name) || name.starts_with(UNFINISHED_JOURNAL);
    let has_one = |entry: fs::DirEntry| entry.file_name().to_str().is_some_and(is_one);
    fs::read_dir(output).is_ok_and(|entries| entries.flatten().any(has_one))
}

/// Writes a journal, or replaces it; at any time it has one of its two contents.
fn write_journal(path: &Path, journal: &Journal) -> Result<()> {
    let text = journal.to_bytes()?;
    let failed = |error: Error| file_error("write", path, error);
    let folder = parent_of(path);
    let unfinished = folder.join(format!("{UNFINISHED_JOURNAL}{}", journal.run));
    let write = || {
        let mut file = File::create(&unfinished)?;
        std::io::Write::write_all(&mut file, &text)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_folder(folder)
    };
    write().map_err(failed)
}

fn remove_journal(path: &Path) -> std::io::Result<()> {
    remove_if_present(path)?;
    sync_folder(parent_of(path))
}

/// Removes files of an output, and the partition folders that are empty then.
fn remove_files(output: &Path, names: &BTreeSet<String>) -> std::io::Result<()> {
    let mut folders = BTreeSet::new();
    for name in names {
        // A journal names nothing outside of its output.
        if !Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_))) {
            return Err(Error::new(
                ErrorKind::InvalidData,
                format!("'{name}' is not the path of a file in it"),
            ));
        }
        remove_if_present(&output.join(name))?;
        let parents = Path::new(name).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        folders.extend(parents.map(|folder| output.join(folder)));
    }
    // The deepest first.
    for folder in folders.iter().rev() {
        match fs::remove_dir(folder) {
            Err(error) if !matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound) => {
                return Err(error);
            }
            _ => {}
        }
    }
    // The journal is removed after that, and no file of these may be back after a loss of power.
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        sync_folder(folder)?;
    }
    sync_folder(output)
}

fn remove_if_present(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Renames to a name that does not exist, in a file system without an operation for that. Other runs are excluded by the
/// lock of the output; other programs are not.
fn rename_new_under_lock(from: &Path, to: &Path) -> std::io::Result<()> {
    match to.symlink_metadata() {
        Ok(_) => Err(Error::from(ErrorKind::AlreadyExists)),
        Err(_) => fs::rename(from, to),
    }
}

/// Copies a file to a new one, which is on the disk when this returns.
fn copy_new(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut source = File::open(from)?;
    let mut copy = File::create_new(to)?;
    std::io::copy(&mut source, &mut copy)?;
    copy.sync_all()
}

/// Whether a folder is the root of another file system than its parent.
#[cfg(unix)]
fn is_mount_point(folder: &Path, parent: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (folder.metadata(), parent.metadata()) {
        (Ok(folder), Ok(parent)) => folder.is_dir() && folder.dev() != parent.dev(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_mount_point(_: &Path, _: &Path) -> bool {
    false
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Syncs a folder, so that renames in it are durable.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    // Only Unix can open a folder as a file.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Syncs a folder and all folders in it.
fn sync_folders(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Syncs an output folder and the partition folders of files in it.
fn sync_folders_of(output: &Path, names: &BTreeSet<String>) -> std::io::Result<()> {
    let folders = names.iter().flat_map(|name| Path::new(name).ancestors().skip(1));
    for folder in folders.collect::<BTreeSet<_>>().into_iter().rev() {
        sync_folder(&output.join(folder))?;
    }
    Ok(())
}
