//! What an output may replace: regular files, and folders or prefixes that hold nothing but files of one kind.

use std::fs;
use std::path::{Path, PathBuf};

use datafusion::common::{DataFusionError, Result, exec_err};

use super::output_kind::{OutputKind, has_extension};
use crate::file_error::file_error;
use crate::local_files::is_special_file;

/// The beginning of the names of the files that runs keep beside outputs and in them.
pub(super) const OWN_PREFIX: &str = ".warpframe-";

/// Whether an output of this name is a single Parquet file and not a folder.
pub(crate) fn is_file_name(output: &Path) -> bool {
    output.extension().is_some_and(|extension| extension == "parquet")
}

/// The path behind symbolic links, so that an output replaces the file that a link points to and not the link.
pub(super) fn follow_link(output: &Path) -> Result<PathBuf> {
    match output.is_symlink() {
        true => output.canonicalize().map_err(|error| file_error("write", output, error)),
        false => Ok(output.to_owned()),
    }
}

/// The error that an output exists and is not to be replaced.
pub(super) fn exists_already(output: &str) -> DataFusionError {
    DataFusionError::Execution(format!(
        "'{output}' exists already: choose another name, or add --overwrite to replace it"
    ))
}

/// Checks that `output` does not exist, or may be replaced.
///
/// # Errors
/// It exists and `overwrite` is false, or it is not replaceable.
pub(super) fn check_replaceable(output: &Path, kind: &OutputKind, overwrite: bool) -> Result<()> {
    let name = output.display();
    check_not_special(output)?;
    let Ok(metadata) = output.symlink_metadata() else {
        return Ok(());
    };
    if !overwrite {
        return Err(exists_already(&name.to_string()));
    }
    let Ok(metadata) = output.metadata() else {
        return match metadata.is_symlink() {
            true => exec_err!("cannot replace '{name}': it is a link to a missing file, remove it first"),
            false => Ok(()),
        };
    };
    match kind {
        OutputKind::File if metadata.is_dir() => {
            exec_err!("cannot replace '{name}' by a file: it is a folder")
        }
        OutputKind::File => Ok(()),
        OutputKind::Folder { .. } if !metadata.is_dir() => {
            exec_err!("cannot replace '{name}' by a folder: it is a file")
        }
        OutputKind::Folder { extension } => {
            let mut files = Vec::new();
            match collect_output(output, "", extension, &mut files)? {
                None => Ok(()),
                Some(other) => {
                    exec_err!("'{name}' is not replaced: it holds '{other}', which is {}", no_data(extension))
                }
            }
        }
    }
}

/// Checks that files can be added to `output`: it does not exist, or is a folder.
///
/// # Errors
/// It is something else.
pub(super) fn check_extendable(output: &Path) -> Result<()> {
    check_not_special(output)?;
    match output.metadata() {
        Ok(metadata) if !metadata.is_dir() => {
            exec_err!("cannot add files to '{}': it is a file", output.display())
        }
        _ => Ok(()),
    }
}

fn check_not_special(output: &Path) -> Result<()> {
    match is_special_file(output) {
        true => exec_err!(
            "cannot write '{}': it is a pipe, a device or a socket, choose another name",
            output.display()
        ),
        false => Ok(()),
    }
}

/// The files of an output folder, as paths relative to it with `/` between folders.
///
/// # Errors
/// A folder cannot be read.
pub(super) fn output_files(output: &Path, extension: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    collect_output(output, "", extension, &mut files)?;
    Ok(files)
}

/// Adds the files of an output below `folder`, and returns the name of the first entry that does not belong to an output.
/// What runs keep there for themselves is passed over.
fn collect_output(
    folder: &Path,
    prefix: &str,
    extension: &str,
    files: &mut Vec<String>,
) -> Result<Option<String>> {
    let unreadable = |error: std::io::Error| file_error("read", folder, error);
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let (path, relative) = (entry.path(), format!("{prefix}{name}"));
        if name.starts_with(OWN_PREFIX) {
            continue;
        }
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_file() && has_extension(&name, extension) {
            files.push(relative);
        } else if kind.is_dir() && name.contains('=') {
            if let Some(other) = collect_output(&path, &format!("{relative}/"), extension, files)? {
                return Ok(Some(other));
            }
        } else {
            return Ok(Some(relative));
        }
    }
    Ok(None)
}

/// Says what a file is not.
pub(super) fn no_data(extension: &str) -> String {
    match extension {
        "parquet" => "not a Parquet file".to_owned(),
        other => format!("not a .{other} file"),
    }
}
