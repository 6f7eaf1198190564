//! Local files by path, folder or glob pattern.

use std::path::{Component, Path, PathBuf};

use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::listing::ListingTableUrl;
use url::Url;

use super::commit::reading::committed_files;
use super::file_error::file_error;
use super::hidden_files::is_hidden;

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

/// The files that match a path, a folder or a glob pattern, sorted by path. Of a folder these are the files in it and in
/// the folders below it with the given extension; a path or a pattern matches files of any extension.
/// Hidden files, whose names begin with `.` or `_`, are left out unless they are named.
///
/// # Errors
/// No file matches, the pattern is invalid, or a folder cannot be read.
pub fn find_files(pattern: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let LocalFiles { mut files, is_folder, .. } = LocalFiles::find(pattern)?;
    if is_folder {
        files.retain(|file| has_extension(file, extension));
        if files.is_empty() {
            return exec_err!("there is no *.{extension} file in the folder '{pattern}'");
        }
    }
    Ok(files)
}

/// Whether the name of a file has an extension, in any case.
pub(super) fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// Local files that a path, folder or glob pattern stands for.
#[derive(Debug)]
pub(super) struct LocalFiles {
    /// The files, sorted by path.
    pub files: Vec<PathBuf>,
    /// The folder below which the names of folders may be partitions.
    pub base: PathBuf,
    /// Whether a folder was named.
    pub is_folder: bool,
}

impl LocalFiles {
    /// Finds files of any extension.
    ///
    /// # Errors
    /// Nothing matches, the pattern is invalid, or a folder cannot be read. A folder may be without files.
    pub fn find(pattern: &str) -> Result<Self> {
        let path = Path::new(pattern);
        if path.is_dir() {
            let mut files = committed_files(path, true, || {
                let mut files = Vec::new();
                collect_files(path, &mut files, MAX_DEPTH)?;
                Ok(files)
            })?;
            files.sort();
            return Ok(Self { files, base: path.to_owned(), is_folder: true });
        }
        if path.exists() {
            let base = path.parent().unwrap_or(Path::new("")).to_owned();
            return Ok(Self { files: vec![path.to_owned()], base, is_folder: false });
        }
        if !is_glob(pattern) {
            return exec_err!("there is no file or folder '{pattern}'");
        }
        let base = fixed_folder(pattern);
        let files = match base.as_os_str().is_empty() || base.is_dir() {
            true => committed_files(&base, true, || matching_files(pattern))?,
            false => Vec::new(),
        };
        match files.is_empty() {
            true => exec_err!("no file matches '{pattern}'"),
            false => Ok(Self { files, base, is_folder: false }),
        }
    }
}

/// The greatest number of folders inside of each other. Links may lead back to a folder above.
const MAX_DEPTH: usize = 32;

/// Adds the visible files in a folder and in those below it.
fn collect_files(folder: &Path, files: &mut Vec<PathBuf>, depth: usize) -> Result<()> {
    let unreadable = |error: std::io::Error| file_error("read", folder, error);
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if is_hidden(&name) {
            continue;
        }
        if path.is_file() {
            files.push(path);
        } else if path.is_dir() {
            if depth == 0 {
                return Err(file_error("read", &path, "there are too many folders inside of each other"));
            }
            collect_files(&path, files, depth - 1)?;
        }
    }
    Ok(())
}

/// The characters of glob patterns that stand for others.
pub(super) const WILDCARDS: [char; 3] = ['*', '?', '['];

pub(super) fn is_glob(text: &str) -> bool {
    text.contains(WILDCARDS)
}

/// The part of a pattern before the first component with a wildcard.
fn fixed_folder(pattern: &str) -> PathBuf {
    Path::new(pattern).components().take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).collect()
}

/// The files that match a pattern. Hidden ones are among them only if a part of the pattern begins with `.` or `_`.
fn matching_files(pattern: &str) -> Result<Vec<PathBuf>> {
    let matches = glob::glob(pattern)
        .map_err(|error| DataFusionError::Execution(format!("'{pattern}' is not a valid glob: {error}")))?;
    let fixed = fixed_folder(pattern);
    let part_is_hidden = |part: Component| match part {
        Component::Normal(name) => is_hidden(&name.to_string_lossy()),
        _ => false,
    };
    let wild_parts = Path::new(pattern).strip_prefix(&fixed).unwrap_or(Path::new(pattern));
    let names_hidden = wild_parts.components().any(part_is_hidden);
    let mut files = Vec::new();
    for found in matches {
        let found = found.map_err(|error| file_error("read", error.path(), error.error()))?;
        let below = found.strip_prefix(&fixed).unwrap_or(&found);
        if found.is_file() && (names_hidden || !below.components().any(part_is_hidden)) {
            files.push(found);
        }
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
