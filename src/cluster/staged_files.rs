//! The files of a table in memory.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

/// Files of a table, which are removed with this.
#[derive(Debug)]
pub(super) struct StagedFiles {
    /// One for each partition.
    pub paths: Vec<PathBuf>,
    pub _folder: Arc<TempDir>,
}
