//! Errors of the engine as Python exceptions: an exception of a fitting type, and one sentence.

use std::path::Path;

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use pyo3::create_exception;
use pyo3::exceptions::{
    PyArithmeticError, PyFileExistsError, PyFileNotFoundError, PyMemoryError, PyOSError, PyRuntimeError,
    PyValueError,
};
use pyo3::prelude::*;
use warpframe::batch::{BatchError, BatchRun, BatchStep};
use warpframe::error_text::{root_message, with_position};
use warpframe::io::{DataFormat, find_files};
use warpframe::ir::Error;

create_exception!(
    warpframe,
    WarpframeError,
    PyRuntimeError,
    "A query, function or run that failed for a reason that no other exception stands for."
);

/// The exception for an error of `arrow`.
pub fn arrow_error(error: ArrowError) -> PyErr {
    match error {
        ArrowError::MemoryError(message) => PyMemoryError::new_err(message),
        ArrowError::ExternalError(error) => WarpframeError::new_err(error.to_string()),
        ArrowError::InvalidArgumentError(message) => PyValueError::new_err(message),
        error => PyValueError::new_err(error.to_string()),
    }
}

/// The exception for an error of an evaluation without a query.
pub fn evaluation_error(error: Error) -> PyErr {
    match error {
        Error::Trap(trap) => PyArithmeticError::new_err(trap.to_string()),
        Error::ResourcesExhausted(message) => PyMemoryError::new_err(message),
        other => WarpframeError::new_err(other.to_string()),
    }
}

/// The exception for an error of a statement, with the position in its text if that is known:
/// `ValueError` if it cannot be planned, `MemoryError` if the memory limit is too small, `OSError` if data cannot be read or
/// written, otherwise `WarpframeError`.
pub fn query_error(error: &DataFusionError, text: &str) -> PyErr {
    let message = with_position(root_message(error), error, text);
    match error.find_root() {
        DataFusionError::Plan(_)
        | DataFusionError::SQL(..)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Configuration(_)
        | DataFusionError::NotImplemented(_) => PyValueError::new_err(message),
        DataFusionError::ResourcesExhausted(_) => PyMemoryError::new_err(message),
        DataFusionError::IoError(error) => std::io::Error::new(error.kind(), message).into(),
        DataFusionError::ObjectStore(_) | DataFusionError::ParquetError(_) => PyOSError::new_err(message),
        _ => WarpframeError::new_err(message),
    }
}

/// The exception for files that cannot be opened: `FileNotFoundError` if there are none, otherwise `OSError`.
pub fn input_error(error: &DataFusionError, pattern: &str) -> PyErr {
    match error.find_root() {
        DataFusionError::Execution(message) if is_missing(pattern) => {
            PyFileNotFoundError::new_err(message.clone())
        }
        DataFusionError::Execution(message) => PyOSError::new_err(message.clone()),
        _ => query_error(error, ""),
    }
}

/// The exception for an output that cannot be written: `FileExistsError` if it is there and may not be replaced, otherwise
/// `OSError`.
pub fn output_error(error: &DataFusionError, output: &Path, overwrite: bool) -> PyErr {
    match error.find_root() {
        DataFusionError::Execution(message) if !overwrite && output.exists() => {
            PyFileExistsError::new_err(message.clone())
        }
        DataFusionError::Execution(message) => PyOSError::new_err(message.clone()),
        _ => query_error(error, ""),
    }
}

/// The exception for a batch run that has failed.
pub fn batch_error(failed: &BatchError, run: &BatchRun) -> PyErr {
    match failed.step {
        BatchStep::Input => input_error(&failed.error, run.inputs.first().map_or("", String::as_str)),
        BatchStep::Init => query_error(&failed.error, run.init.as_deref().unwrap_or_default()),
        BatchStep::Plan => query_error(&failed.error, &run.query()),
        BatchStep::Output => output_error(&failed.error, &run.output, run.overwrite),
        BatchStep::Execute => query_error(&failed.error, ""),
    }
}

/// Whether a path, folder or glob pattern stands for no file that could be a table.
fn is_missing(pattern: &str) -> bool {
    !pattern.contains("://")
        && DataFormat::all().all(|format| find_files(pattern, format.extension()).is_err())
}
