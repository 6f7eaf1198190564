//! A column as a Python object.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::Field;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use super::export::{export_array, export_field};

/// A column of Arrow data, which other packages take over without a copy: `pyarrow.array(a)`, `polars.Series(a)`.
#[pyclass(frozen, module = "warpframe", name = "ArrowArray")]
pub struct ArrowArray {
    array: ArrayRef,
}

impl ArrowArray {
    /// Wraps an array.
    pub fn new(array: ArrayRef) -> Self {
        Self { array }
    }

    /// The array.
    pub fn array(&self) -> &ArrayRef {
        &self.array
    }
}

#[pymethods]
impl ArrowArray {
    /// The array as a pair of capsules. `requested_schema` is ignored: the consumer converts the type.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        let _ = requested_schema;
        export_array(py, &self.array)
    }

    /// The type of the array as a capsule.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        export_field(py, &Field::new("", self.array.data_type().clone(), true))
    }

    fn __len__(&self) -> usize {
        self.array.len()
    }

    fn __repr__(&self) -> String {
        let (rows, nulls) = (self.array.len(), self.array.null_count());
        format!("<ArrowArray of {rows} {} values, {nulls} of them null>", self.array.data_type())
    }
}
