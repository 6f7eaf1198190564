//! Errors of operations on files.

use std::path::Path;

use datafusion::common::DataFusionError;

/// An execution error of the form "cannot {action} '{path}': {cause}".
pub fn file_error(action: &str, path: &Path, cause: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("cannot {action} '{}': {cause}", path.display()))
}
