//! Outputs that are no regular files: pipes and character devices. Nothing of them can be replaced, so rows are written to
//! them directly.

use std::fs::File;
use std::path::Path;

use crate::command::error::CliError;

/// Names of the standard output of this process. Opening one of them anew could start at the beginning of a file that the
/// shell appends to.
const STDOUT: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Opens a pipe or a character device for writing; `None` for the standard output. A pipe opens when it has a reader.
///
/// # Errors
/// It is a socket or a block device, or it cannot be opened.
pub async fn open(path: &Path) -> Result<Option<File>, CliError> {
    if STDOUT.iter().any(|name| Path::new(name) == path) {
        return Ok(None);
    }
    if !is_stream(path) {
        let name = path.display();
        return Err(CliError::failure(format!(
            "cannot write '{name}': it is neither a file nor a pipe, choose another name"
        )));
    }
    let owned = path.to_owned();
    // Opening a pipe blocks until it has a reader, and an interrupt must be noticed in the meantime.
    let opened = tokio::task::spawn_blocking(move || File::options().append(true).open(owned)).await;
    let opened = opened.map_err(std::io::Error::other).flatten();
    opened.map(Some).map_err(|error| CliError::failure(format!("cannot write '{}': {error}", path.display())))
}

/// Whether bytes can be written to the file one after the other.
#[cfg(unix)]
fn is_stream(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    // A name of an open file, such as /dev/fd/3, may also stand for a regular file.
    std::fs::metadata(path).is_ok_and(|metadata| {
        let kind = metadata.file_type();
        kind.is_fifo() || kind.is_char_device() || kind.is_file()
    })
}

#[cfg(not(unix))]
fn is_stream(_: &Path) -> bool {
    false
}
