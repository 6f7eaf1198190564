//! Rows of a result in memory.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchIterator, StructArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyList};

use crate::arrow_stream::{export_array, export_schema, export_stream};
use crate::errors::arrow_error;
use crate::numpy_results;

/// The rows of a result, as batches of one schema. Other packages take them over without a copy.
#[pyclass(frozen, module = "warpframe", name = "ArrowTable")]
pub struct ArrowTable {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl ArrowTable {
    /// A table of batches that have this schema.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { schema, batches }
    }

    /// The batches of a column.
    fn chunks(&self, column: usize) -> PyResult<Vec<ArrayRef>> {
        if column >= self.schema.fields().len() {
            return Err(PyIndexError::new_err(format!("there is no column {column}")));
        }
        Ok(self.batches.iter().map(|batch| Arc::clone(batch.column(column))).collect())
    }
}

/// The names and types of columns.
pub fn names_and_types(schema: &Schema) -> Vec<(String, String)> {
    schema.fields().iter().map(|field| (field.name().clone(), field.data_type().to_string())).collect()
}

#[pymethods]
impl ArrowTable {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        let batches = self.batches.clone().into_iter().map(Ok);
        export_stream(py, Box::new(RecordBatchIterator::new(batches, Arc::clone(&self.schema))))
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        export_schema(py, &self.schema)
    }

    /// The rows as one array of structs, with the capsule of the schema.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        let _ = requested_schema;
        let batch = match self.batches.as_slice() {
            [batch] => batch.clone(),
            batches => concat_batches(&self.schema, batches).map_err(arrow_error)?,
        };
        let rows: ArrayRef = Arc::new(StructArray::from(batch));
        Ok((export_schema(py, &self.schema)?, export_array(py, &rows)?.1))
    }

    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The names and types of the columns.
    fn schema(&self) -> Vec<(String, String)> {
        names_and_types(&self.schema)
    }

    /// For each column, its NumPy dtype, or what Python objects it holds, or nothing.
    fn numpy_types(&self) -> Vec<Option<String>> {
        self.schema.fields().iter().map(|field| numpy_results::numpy_type(field.data_type())).collect()
    }

    /// The number of nulls of a column.
    fn null_count(&self, column: usize) -> PyResult<usize> {
        Ok(self.chunks(column)?.iter().map(|chunk| chunk.logical_null_count()).sum())
    }

    /// Copies the values of a column to an array of bytes.
    fn copy_values(&self, py: Python<'_>, column: usize, to: &Bound<'_, PyAny>) -> PyResult<()> {
        numpy_results::copy_values(py, &self.chunks(column)?, to)
    }

    /// Writes 1 for each null of a column to an array of bytes, and 0 for other values.
    fn copy_nulls(&self, py: Python<'_>, column: usize, to: &Bound<'_, PyAny>) -> PyResult<()> {
        numpy_results::copy_nulls(py, &self.chunks(column)?, to)
    }

    /// The texts of a column.
    fn texts<'py>(&self, py: Python<'py>, column: usize) -> PyResult<Bound<'py, PyList>> {
        numpy_results::texts(py, &self.chunks(column)?)
    }

    /// The byte strings of a column.
    fn byte_strings<'py>(&self, py: Python<'py>, column: usize) -> PyResult<Bound<'py, PyList>> {
        numpy_results::byte_strings(py, &self.chunks(column)?)
    }

    /// The values of a column as texts.
    fn shown<'py>(&self, py: Python<'py>, column: usize) -> PyResult<Bound<'py, PyList>> {
        numpy_results::shown(py, &self.chunks(column)?)
    }
}
