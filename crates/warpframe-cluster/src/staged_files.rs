//! The files of a staged in-memory table.

use std::path::PathBuf;
use std::sync::Arc;

use warpframe_io::OwnedFolder;

/// The files of a staged table. Dropping the value removes them.
#[derive(Debug)]
pub(super) struct StagedFiles {
    /// The path of each partition.
    pub paths: Vec<PathBuf>,
    pub _folder: Arc<OwnedFolder>,
}
