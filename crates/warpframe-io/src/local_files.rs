//! Local files by path, folder or glob pattern.

use std::path::{Path, PathBuf};

use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::listing::ListingTableUrl;
use url::Url;

/// An execution error of the form "cannot {action} '{path}': {cause}".
pub fn file_error(action: &str, path: &Path, cause: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("cannot {action} '{}': {cause}", path.display()))
}

/// Whether a path names something that exists and is neither a regular file nor a folder: a pipe, a device or a socket.
/// The names of this process's open files, such as `/dev/stdout`, count as such whatever is behind them: a rename would
/// replace the name, not the file.
pub fn is_special_file(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    if !metadata.is_file() && !metadata.is_dir() {
        return true;
    }
    let parent = std::path::absolute(path).ok().and_then(|path| path.parent()?.canonicalize().ok());
    let names_open_file = |parent: PathBuf| parent == Path::new("/dev") || parent.starts_with("/proc");
    cfg!(unix) && path.is_symlink() && parent.is_some_and(names_open_file)
}

/// The files that match a path, a folder or a glob pattern, sorted by path. Of a folder these are the files in it
/// with the given extension; a path or a pattern matches files of any extension.
///
/// # Errors
/// No file matches, the pattern is invalid, or a folder cannot be read.
pub fn find_files(pattern: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    let glob_pattern = if path.is_dir() {
        format!("{}/*.{extension}", glob::Pattern::escape(pattern.trim_end_matches('/')))
    } else if path.exists() {
        return Ok(vec![path.to_owned()]);
    } else if pattern.contains(['*', '?', '[']) {
        pattern.to_owned()
    } else {
        return exec_err!("there is no file or folder '{pattern}'");
    };
    let matches = glob::glob(&glob_pattern)
        .map_err(|error| DataFusionError::Execution(format!("'{pattern}' is not a valid glob: {error}")))?;
    let mut files = Vec::new();
    for found in matches {
        let found = found.map_err(|error| file_error("read", error.path(), error.error()))?;
        if found.is_file() {
            files.push(found);
        }
    }
    if files.is_empty() {
        return match path.is_dir() {
            true => exec_err!("there is no *.{extension} file in the folder '{pattern}'"),
            false => exec_err!("no file matches '{pattern}'"),
        };
    }
    files.sort();
    Ok(files)
}

/// The `file` URL of a local file, with special characters in its path escaped.
///
/// # Errors
/// The current folder is unknown, or the path cannot be a URL.
pub fn file_url(file: &Path) -> Result<ListingTableUrl> {
    let absolute = std::path::absolute(file).map_err(|error| file_error("read", file, error))?;
    let url =
        Url::from_file_path(&absolute).map_err(|()| file_error("read", file, "its path cannot be a URL"))?;
    ListingTableUrl::try_new(url, None)
}
