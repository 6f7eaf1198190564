//! Parquet files as outputs: the settings of the writer, and what was written.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use warpframe::error_text::root_message;
use warpframe::io::{ParquetCompression, WriteSummary, WriterSettings};

/// The settings of the Parquet writer.
///
/// # Errors
/// `ValueError`: there is no such compression.
pub fn writer_settings(compression: &str, row_group_rows: usize) -> PyResult<WriterSettings> {
    let compression: ParquetCompression =
        compression.parse().map_err(|error| PyValueError::new_err(root_message(&error)))?;
    Ok(WriterSettings { compression, row_group_rows })
}

/// What was written.
#[pyclass(frozen, get_all, module = "warpframe._warpframe", name = "Written")]
pub struct Written {
    /// Rows in all files together.
    rows: u64,
    /// Bytes in all files together.
    bytes: u64,
    /// The number of files.
    files: usize,
    /// Warnings for the user.
    pub warnings: Vec<String>,
}

impl Written {
    /// What was written, without warnings.
    pub fn new(summary: WriteSummary) -> Self {
        let WriteSummary { rows, bytes, files } = summary;
        Self { rows, bytes, files, warnings: Vec::new() }
    }
}
