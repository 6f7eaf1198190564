//! Errors of the engine as Python exceptions: an exception of a fitting type, and one sentence.

use arrow::error::ArrowError;
use pyo3::create_exception;
use pyo3::exceptions::{PyArithmeticError, PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
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
