//! Arrays and streams of other packages.

use std::ffi::CStr;
use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, RecordBatch, RecordBatchOptions, StructArray, make_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, from_ffi_and_data_type};
use arrow::ffi_stream::FFI_ArrowArrayStream;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use super::{ARRAY, SCHEMA, STREAM, catch_panic};
use crate::errors::arrow_error;

/// Takes over the array of an object with `__arrow_c_array__`, or with `__arrow_c_stream__`, whose chunks are then
/// concatenated. A table or record batch is an array of structs. One chunk is not copied.
///
/// # Errors
/// `TypeError`: the object has neither method, or what a method returns is no capsule of the interface. `ValueError`: the
/// data was consumed before, or has a type that `arrow` lacks. An exception of the object's own code.
pub fn import_array(object: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    if object.hasattr("__arrow_c_array__")? {
        return Ok(make_array(import_array_data(object)?.1));
    }
    let py = object.py();
    let mut stream = open_stream(object)?;
    let mut chunks = Vec::new();
    while let Some(chunk) = next_chunk(py, &mut stream)? {
        chunks.push(make_array(chunk));
    }
    let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.as_ref() as &dyn Array).collect();
    match chunks.len() {
        0 => Ok(arrow::array::new_empty_array(stream.field().data_type())),
        _ => py.detach(|| catch_panic(|| concat(&chunks))).map_err(arrow_error),
    }
}

/// Takes over the batches of an object with `__arrow_c_stream__` (a table, a reader) or `__arrow_c_array__` (a record
/// batch). Nothing is copied. Ctrl-C between two batches ends it.
///
/// # Errors
/// `TypeError`: the object has neither method, what a method returns is no capsule of the interface, or the data has no
/// columns, such as that of a single array. `ValueError`: the data was consumed before, or has a type that `arrow` lacks.
/// An exception of the object's own code, and `KeyboardInterrupt`.
pub fn import_stream(object: &Bound<'_, PyAny>) -> PyResult<(SchemaRef, Vec<RecordBatch>)> {
    let py = object.py();
    if !object.hasattr("__arrow_c_stream__")? {
        let (field, data) = import_array_data(object)?;
        let schema = table_schema(&field)?;
        return Ok((Arc::clone(&schema), vec![batch(&schema, data)?]));
    }
    let mut stream = open_stream(object)?;
    let schema = table_schema(stream.field())?;
    let mut batches = Vec::new();
    while let Some(chunk) = next_chunk(py, &mut stream)? {
        batches.push(batch(&schema, chunk)?);
        py.check_signals()?;
    }
    Ok((schema, batches))
}

/// Opens the stream of an object with `__arrow_c_stream__`.
///
/// # Errors
/// As of [`import_stream`].
fn open_stream(object: &Bound<'_, PyAny>) -> PyResult<ArrayStream> {
    let capsule = call(object, "__arrow_c_stream__")?;
    let pointer = pointer::<FFI_ArrowArrayStream>(&capsule, STREAM)?;
    // SAFETY: a capsule of this name holds a valid struct of the C stream interface, and the interface lets the consumer
    // move it out.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer) };
    // The producer may need the GIL, or wait for a thread that does.
    object.py().detach(|| ArrayStream::new(stream)).map_err(arrow_error)
}

/// The arrays that another package produces one after the other.
struct ArrayStream {
    stream: FFI_ArrowArrayStream,
    field: Field,
}

impl ArrayStream {
    fn new(mut stream: FFI_ArrowArrayStream) -> Result<Self, ArrowError> {
        let (Some(get_schema), true) = (stream.get_schema, stream.release.is_some()) else {
            return Err(consumed());
        };
        let mut schema = FFI_ArrowSchema::empty();
        // SAFETY: the stream is not released, so its callbacks may be called, one at a time.
        let code = unsafe { get_schema(&mut stream, &mut schema) };
        if code != 0 {
            return Err(last_error(&mut stream, code));
        }
        let field = catch_panic(|| Field::try_from(&schema))?;
        Ok(Self { stream, field })
    }

    /// The type of the arrays, and the name and metadata that the stream gives it.
    fn field(&self) -> &Field {
        &self.field
    }

    /// The next array; `None` at the end. The producer's code runs in this call and must not be kept from the GIL.
    ///
    /// # Errors
    /// The producer's code fails, or the data breaks the rules of the interface.
    fn next(&mut self) -> Result<Option<ArrayData>, ArrowError> {
        let Some(get_next) = self.stream.get_next else { return Err(consumed()) };
        let mut array = FFI_ArrowArray::empty();
        // SAFETY: the stream is not released before it is dropped, and `&mut self` makes this the only call.
        let code = unsafe { get_next(&mut self.stream, &mut array) };
        if code != 0 {
            return Err(last_error(&mut self.stream, code));
        }
        if array.is_released() {
            return Ok(None);
        }
        let data_type = self.field.data_type().clone();
        // SAFETY: the interface obliges the producer to pass an array of the type that it has declared.
        catch_panic(|| unsafe { from_ffi_and_data_type(array, data_type) }).map(Some)
    }
}

/// The next array of a stream, without the GIL.
fn next_chunk(py: Python<'_>, stream: &mut ArrayStream) -> PyResult<Option<ArrayData>> {
    py.detach(|| stream.next()).map_err(arrow_error)
}

fn last_error(stream: &mut FFI_ArrowArrayStream, code: i32) -> ArrowError {
    // SAFETY: the stream is not released, and its last callback has failed.
    let text = stream.get_last_error.map(|get| unsafe { get(stream) }).filter(|text| !text.is_null());
    let text = match text {
        // SAFETY: the producer returns a C string that is valid until the next call.
        Some(text) => unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned(),
        None => format!("error number {code}"),
    };
    // Arrow C++ appends the stack of a Python exception.
    let text = text.split(". Detail: ").next().unwrap_or(&text);
    ArrowError::ExternalError(format!("the Arrow stream failed: {text}").into())
}

fn consumed() -> ArrowError {
    ArrowError::InvalidArgumentError("the Arrow data was consumed before: pass the object anew".to_owned())
}

/// Takes over the array of an object with `__arrow_c_array__`, and its type.
fn import_array_data(object: &Bound<'_, PyAny>) -> PyResult<(Field, ArrayData)> {
    let capsules = call(object, "__arrow_c_array__")?;
    let (schema, array): (Bound<'_, PyAny>, Bound<'_, PyAny>) = capsules
        .extract()
        .map_err(|_| PyTypeError::new_err("__arrow_c_array__ returned no pair of capsules"))?;
    let (schema, array) =
        (pointer::<FFI_ArrowSchema>(&schema, SCHEMA)?, pointer::<FFI_ArrowArray>(&array, ARRAY)?);
    // SAFETY: capsules of these names hold valid structs of the C data interface, and the interface lets the consumer move
    // them out.
    let (schema, array) = unsafe { (FFI_ArrowSchema::from_raw(schema), FFI_ArrowArray::from_raw(array)) };
    if schema.release.is_none() || array.is_released() {
        return Err(arrow_error(consumed()));
    }
    let imported = catch_panic(|| {
        let field = Field::try_from(&schema)?;
        // SAFETY: the interface obliges the producer to pass an array of this type.
        let data = unsafe { from_ffi(array, &schema) }?;
        Ok((field, data))
    });
    imported.map_err(arrow_error)
}

/// Calls a method of the interface.
fn call<'py>(object: &Bound<'py, PyAny>, method: &str) -> PyResult<Bound<'py, PyAny>> {
    match object.getattr_opt(method)? {
        Some(method) => method.call0(),
        None => Err(PyTypeError::new_err(format!(
            "{} is no Arrow data: it has neither __arrow_c_array__ nor __arrow_c_stream__",
            object.get_type().name()?
        ))),
    }
}

/// The struct that a capsule holds. No Python code may run before it is moved out.
fn pointer<T>(capsule: &Bound<'_, PyAny>, name: &CStr) -> PyResult<*mut T> {
    let expected = name.to_string_lossy();
    let wrong = || PyTypeError::new_err(format!("the Arrow data is no capsule with the name '{expected}'"));
    let capsule = capsule.cast::<PyCapsule>().map_err(|_| wrong())?;
    let pointer = capsule.pointer_checked(Some(name)).map_err(|_| wrong())?;
    Ok(pointer.cast().as_ptr())
}

/// The schema of data whose arrays are structs: a table.
fn table_schema(field: &Field) -> PyResult<SchemaRef> {
    match field.data_type() {
        DataType::Struct(fields) => {
            Ok(Arc::new(Schema::new_with_metadata(fields.clone(), field.metadata().clone())))
        }
        other => Err(PyTypeError::new_err(format!(
            "a table is needed: the data is a single array of {other}, pass it as a column of a table"
        ))),
    }
}

/// The batch of a struct array.
fn batch(schema: &SchemaRef, data: ArrayData) -> PyResult<RecordBatch> {
    let array = StructArray::from(data);
    if array.null_count() > 0 {
        return Err(PyValueError::new_err("a table is needed: rows of this data are null as a whole"));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(array.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), array.into_parts().1, &options).map_err(arrow_error)
}
