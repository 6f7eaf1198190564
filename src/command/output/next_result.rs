//! The file that the next result of the shell goes to.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use parking_lot::Mutex;

use super::display::Display;
use super::format::Format;
use super::save::save;
use crate::command::error::CliError;
use crate::counts::count;
use crate::terminal_text::escape_controls;

/// A file that waits for a result. Clones refer to the same file.
#[derive(Debug, Clone, Default)]
pub struct NextResult(Arc<Mutex<Option<ResultFile>>>);

/// A file for one result.
#[derive(Debug, Clone)]
pub struct ResultFile {
    pub path: PathBuf,
    /// Whether an existing file is replaced.
    pub overwrite: bool,
}

impl NextResult {
    /// The file, if one waits. It stays until [`NextResult::set`] is called again: a statement that fails does not use it up.
    pub fn get(&self) -> Option<ResultFile> {
        self.0.lock().clone()
    }

    /// Sets the file; with `None`, results go to the screen.
    pub fn set(&self, file: Option<ResultFile>) {
        *self.0.lock() = file;
    }
}

/// Writes to the file of the next result, and says so. The file waits on if the query or the output fails.
pub(super) async fn write(
    query: DataFrame,
    display: &Display,
    next: &NextResult,
    file: &ResultFile,
) -> Result<u64, CliError> {
    // A name that tells another format than that of the shell gets its own.
    let format = Format::of_output(&file.path, display.format);
    let format = format.or_else(|_| Format::of_output(&file.path, None))?;
    let rows = save(query, display, format, &file.path, file.overwrite).await?;
    next.set(None);
    eprintln!("{} in {}", count(rows, "row"), escape_controls(&file.path.display().to_string()));
    Ok(rows)
}
