//! Errors of programs and backends as Python exceptions.

use pyo3::create_exception;
use pyo3::exceptions::{PyArithmeticError, PyMemoryError, PyRuntimeError};
use pyo3::prelude::*;
use warpframe::ir::Error;

create_exception!(
    _warpframe,
    WarpframeError,
    PyRuntimeError,
    "An error of the engine that no other exception describes, such as a failed device."
);

/// The exception for an error of an evaluation.
pub fn evaluation_error(error: Error) -> PyErr {
    match error {
        Error::Trap(trap) => PyArithmeticError::new_err(trap.to_string()),
        Error::ResourcesExhausted(message) => PyMemoryError::new_err(message),
        other => WarpframeError::new_err(other.to_string()),
    }
}
