//! Arrays, schemas and streams as capsules.

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchReader};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use super::{ARRAY, SCHEMA, STREAM, catch_panic};

/// An array as the capsules of its type and its data, in this order.
///
/// # Errors
/// The C data interface has no such type.
pub fn export_array<'py>(
    py: Python<'py>,
    array: &ArrayRef,
) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
    let schema = export_field(py, &Field::new("", array.data_type().clone(), true))?;
    let array = PyCapsule::new_with_value(py, FFI_ArrowArray::new(&array.to_data()), ARRAY)?;
    Ok((schema, array))
}

/// A schema as a capsule: a struct with a field for each column.
///
/// # Errors
/// The C data interface has no type of a column, or cannot express its name.
pub fn export_schema<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyCapsule>> {
    export_with(py, || FFI_ArrowSchema::try_from(schema))
}

/// The type of a column as a capsule.
pub(super) fn export_field<'py>(py: Python<'py>, field: &Field) -> PyResult<Bound<'py, PyCapsule>> {
    export_with(py, || FFI_ArrowSchema::try_from(field))
}

fn export_with<'py>(
    py: Python<'py>,
    export: impl FnOnce() -> Result<FFI_ArrowSchema, ArrowError>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = catch_panic(export).map_err(|error| PyValueError::new_err(error.to_string()))?;
    PyCapsule::new_with_value(py, schema, SCHEMA)
}

/// Batches as a capsule. The reader is called where the consumer pulls, with or without the GIL: it must not need it.
///
/// # Errors
/// The C data interface has no type of a column, or cannot express its name.
pub fn export_stream<'py>(
    py: Python<'py>,
    reader: Box<dyn RecordBatchReader + Send>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = reader.schema();
    // An error here is an exception; one in the stream's callback would be an error number.
    export_schema(py, &schema)?;
    let reader = Box::new(CallableFromC { schema, reader: Some(reader) });
    PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(reader), STREAM)
}

/// A reader that neither panics nor has errors that are no C strings, and that ends with the first error.
struct CallableFromC {
    schema: SchemaRef,
    reader: Option<Box<dyn RecordBatchReader + Send>>,
}

impl Iterator for CallableFromC {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let next = catch_panic(|| reader.next().transpose());
        if !matches!(next, Ok(Some(_))) {
            self.reader = None;
        }
        next.map_err(without_nul).transpose()
    }
}

impl RecordBatchReader for CallableFromC {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// The error without the character NUL, which ends a C string.
fn without_nul(error: ArrowError) -> ArrowError {
    let text = error.to_string();
    match text.contains('\0') {
        true => ArrowError::ExternalError(text.replace('\0', "\\0").into()),
        false => error,
    }
}
