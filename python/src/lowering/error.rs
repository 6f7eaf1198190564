//! Why a traced function cannot be compiled for the types of its arguments.

use pyo3::PyErr;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use warpframe::ir;

/// Why a traced function cannot be compiled. Each is one sentence, and an exception of Python.
#[derive(Debug)]
pub enum LoweringError {
    /// `TypeError`: an operation is not defined for the types.
    Type(String),
    /// `OverflowError`: a Python integer is not in the range of a type.
    Overflow(String),
    /// `ValueError`: an operation is not defined for a constant.
    Value(String),
}

/// A result of lowering.
pub type LoweringResult<T> = Result<T, LoweringError>;

impl From<ir::Error> for LoweringError {
    fn from(error: ir::Error) -> Self {
        Self::Value(error.to_string())
    }
}

impl From<LoweringError> for PyErr {
    fn from(error: LoweringError) -> Self {
        match error {
            LoweringError::Type(message) => PyTypeError::new_err(message),
            LoweringError::Overflow(message) => PyOverflowError::new_err(message),
            LoweringError::Value(message) => PyValueError::new_err(message),
        }
    }
}
