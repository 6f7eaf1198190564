//! NumPy's objects.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

use crate::dtype::DType;
use crate::result_memory::ResultMemory;

/// `numpy.ndarray`.
pub fn ndarray_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "numpy", "ndarray")
}

/// `numpy.generic`, the type of all scalars.
pub fn generic_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    TYPE.import(py, "numpy", "generic")
}

/// The `numpy.dtype` of a type.
pub fn dtype_object(py: Python<'_>, dtype: DType) -> PyResult<Bound<'_, PyAny>> {
    static DTYPES: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();
    let dtypes = DTYPES.get_or_try_init(py, || {
        let dtype = py.import("numpy")?.getattr("dtype")?;
        DType::ALL.iter().map(|one| Ok(dtype.call1((one.name(),))?.unbind())).collect::<PyResult<_>>()
    })?;
    Ok(dtypes[dtype as usize].bind(py).clone())
}

/// An array of this shape over memory. Of a shape without dimensions, its scalar.
pub fn array_over<'py>(
    py: Python<'py>,
    memory: ResultMemory,
    dtype: DType,
    shape: &[usize],
    fortran: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let memory = Bound::new(py, memory)?;
    let shape_tuple = PyTuple::new(py, shape)?;
    let order = if fortran { "F" } else { "C" };
    let arguments = (shape_tuple, dtype_object(py, dtype)?, memory, 0, py.None(), order);
    let array = ndarray_type(py)?.call1(arguments)?;
    if shape.is_empty() { array.get_item(PyTuple::empty(py)) } else { Ok(array) }
}

/// A scalar of a type.
pub fn scalar<'py>(
    py: Python<'py>,
    dtype: DType,
    value: impl IntoPyObject<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    dtype_object(py, dtype)?.getattr("type")?.call1((value,))
}

/// Whether two arrays may share memory.
pub fn may_share_memory(one: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = one.py();
    let function = FUNCTION
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("numpy")?.getattr("may_share_memory")?.unbind()))?;
    function.bind(py).call1((one, other))?.extract()
}
