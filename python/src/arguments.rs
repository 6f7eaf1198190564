//! The arguments of a call: NumPy arrays, and numbers of NumPy and Python.

use std::ffi::CStr;
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, BooleanArray, Float64Array, Int64Array, UInt32Array, make_array,
};
use arrow::buffer::Buffer;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyTuple};

use crate::arrow_stream::import_array;
use crate::columns::{CHUNK_ROWS, Column};
use crate::dtype::DType;
use crate::lowering::ParameterType;
use crate::numpy::{generic_type, ndarray_type};
use crate::strided::Strided;

/// An argument of a call.
pub enum Argument {
    /// A number of Python.
    Bool(bool),
    /// A number of Python.
    Int(i64),
    /// A number of Python.
    Float(f64),
    /// An array or a scalar of NumPy.
    Array(NumpyArray),
    /// An array of NumPy, and a mask of its shape that says which elements are null.
    Masked(NumpyArray, NumpyArray),
    /// An Arrow array.
    Arrow(ArrayRef, DType),
}

/// The elements of a NumPy array, which lives as long as this.
pub struct NumpyArray {
    buffer: Arc<AssertUnwindSafe<PyUntypedBuffer>>,
    /// The type of the elements.
    pub dtype: DType,
    /// Whether the array has no dimensions. Its buffer has one.
    is_scalar: bool,
}

impl Argument {
    /// Reads an argument; `None` if it is neither an array nor a number.
    ///
    /// # Errors
    /// An array has elements of another type than numbers, or an integer is too large.
    pub fn read(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<Self>> {
        let py = value.py();
        if value.is_exact_instance_of::<PyFloat>() {
            return Ok(Some(Self::Float(value.extract()?)));
        }
        let kind = value.get_type();
        if kind.is(ndarray_type(py)?) || value.is_instance(generic_type(py)?)? {
            return Ok(NumpyArray::read(value, name)?.map(Self::Array));
        }
        if value.is_exact_instance_of::<PyBool>() {
            return Ok(Some(Self::Bool(value.extract()?)));
        }
        if value.is_exact_instance_of::<PyInt>() {
            let number = value.extract().map_err(|_| {
                PyOverflowError::new_err(format!("the integer {name} is not in the range of int64"))
            });
            return Ok(Some(Self::Int(number?)));
        }
        Ok(None)
    }

    /// The type that the function is compiled for.
    pub fn parameter_type(&self) -> ParameterType {
        match self {
            Self::Bool(_) => ParameterType::Typed(DType::Bool),
            Self::Int(_) => ParameterType::Int,
            Self::Float(_) => ParameterType::Float,
            Self::Array(array) | Self::Masked(array, _) => ParameterType::Typed(array.dtype),
            Self::Arrow(_, dtype) => ParameterType::Typed(*dtype),
        }
    }

    /// Whether elements may be null.
    pub fn may_have_nulls(&self) -> bool {
        matches!(self, Self::Masked(..) | Self::Arrow(..))
    }

    /// The shape; that of a number has no dimensions.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Array(array) | Self::Masked(array, _) => array.shape().to_vec(),
            Self::Arrow(array, _) => vec![array.len()],
            _ => Vec::new(),
        }
    }

    /// The array as a column of the rows of a shape, in C order, or in Fortran's if all arrays are in it.
    pub fn column(&self, shape: &[usize], fortran: bool) -> PyResult<Column> {
        let rows: usize = shape.iter().product();
        let copies = rows.min(CHUNK_ROWS);
        Ok(match self {
            Self::Bool(value) => Column::Repeated(Arc::new(BooleanArray::from(vec![*value; copies]))),
            Self::Int(value) => Column::Repeated(Arc::new(Int64Array::from(vec![*value; copies]))),
            Self::Float(value) => Column::Repeated(Arc::new(Float64Array::from(vec![*value; copies]))),
            Self::Arrow(array, _) if array.len() == rows => Column::Array(Arc::clone(array)),
            // One element, which is broadcast.
            Self::Arrow(array, _) => {
                let copies = arrow::compute::take(array, &UInt32Array::from(vec![0; copies]), None);
                Column::Repeated(copies.map_err(|error| PyValueError::new_err(error.to_string()))?)
            }
            Self::Array(array) => array.column(shape, fortran, copies)?,
            Self::Masked(array, mask) => Column::Masked(
                Box::new(array.column(shape, fortran, copies)?),
                Box::new(mask.column(shape, fortran, copies)?),
            ),
        })
    }

    /// Whether the elements of a NumPy array are one after the other in C order and in Fortran's; both are true for other
    /// arguments.
    pub fn orders(&self) -> (bool, bool) {
        match self {
            // Masks are read in C order.
            Self::Masked(..) => (true, false),
            Self::Array(array) if !array.is_scalar => {
                (array.buffer.0.is_c_contiguous(), array.buffer.0.is_fortran_contiguous())
            }
            _ => (true, true),
        }
    }
}

impl NumpyArray {
    /// Reads an array; `None` if its elements have the other byte order.
    fn read(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<Self>> {
        let unsupported = || {
            let dtype = value.getattr("dtype").and_then(|dtype| Ok(dtype.str()?.to_string()));
            PyTypeError::new_err(format!(
                "the argument {name} has elements of type {}, of which there are no programs: use bool, \
                 integers of 8 to 64 bits, float32 or float64",
                dtype.unwrap_or_default()
            ))
        };
        // Buffers of arrays without dimensions have no shape.
        let is_scalar = value.getattr(intern!(value.py(), "ndim"))?.extract::<usize>()? == 0;
        let reshaped =
            if is_scalar { value.call_method1(intern!(value.py(), "reshape"), (1,))? } else { value.clone() };
        let buffer = PyUntypedBuffer::get(&reshaped).map_err(|_| unsupported())?;
        let format: &CStr = buffer.format();
        let other_order = if cfg!(target_endian = "little") { b'>' } else { b'<' };
        if format.to_bytes().first() == Some(&other_order) {
            return Ok(None);
        }
        let dtype = DType::of_format(format.to_bytes(), buffer.item_size()).ok_or_else(unsupported)?;
        Ok(Some(Self { buffer: Arc::new(AssertUnwindSafe(buffer)), dtype, is_scalar }))
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        if self.is_scalar { &[] } else { self.buffer.0.shape() }
    }

    /// Whether the elements must not be written.
    pub fn is_readonly(&self) -> bool {
        self.buffer.0.readonly()
    }

    /// The address of the first element.
    pub fn address(&self) -> *mut u8 {
        self.buffer.0.buf_ptr().cast()
    }

    /// Whether the elements are aligned and one after the other, in C order or in Fortran's.
    pub fn is_contiguous(&self, fortran: bool) -> bool {
        let buffer = &self.buffer.0;
        let contiguous = if fortran { buffer.is_fortran_contiguous() } else { buffer.is_c_contiguous() };
        contiguous && self.address().addr().is_multiple_of(self.dtype.size())
    }

    fn column(&self, shape: &[usize], fortran: bool, copies: usize) -> PyResult<Column> {
        let buffer = &self.buffer.0;
        let rows: usize = shape.iter().product();
        let first: *const u8 = buffer.buf_ptr().cast_const().cast();
        let (own_shape, own_strides) = (buffer.shape(), buffer.strides());
        if self.is_contiguous(fortran) && own_shape == shape && self.dtype != DType::Bool && !shape.is_empty()
        {
            let Some(pointer) = NonNull::new(first.cast_mut()) else {
                return Ok(Column::Array(arrow::array::new_empty_array(&self.dtype.arrow())));
            };
            // SAFETY: the elements are in memory one after the other, and the owner keeps the array alive.
            let buffer = unsafe {
                Buffer::from_custom_allocation(
                    pointer,
                    rows * self.dtype.size(),
                    Arc::clone(&self.buffer) as _,
                )
            };
            let data = ArrayData::builder(self.dtype.arrow()).len(rows).add_buffer(buffer).build();
            let data = data.map_err(|error| PyValueError::new_err(error.to_string()))?;
            return Ok(Column::Array(make_array(data)));
        }
        if fortran && own_shape == shape {
            // Booleans, or an array that is not aligned, in Fortran's order: the transposed array in C order.
            let reversed = |values: &[isize]| values.iter().rev().copied().collect();
            let shape = shape.iter().rev().copied().collect();
            // SAFETY: the buffer has these elements; the caller keeps it while it uses the column.
            let strided = unsafe { Strided::new(first, self.dtype, shape, reversed(own_strides)) };
            return Ok(Column::Strided(strided));
        }
        if self.is_scalar && rows > 0 {
            return Ok(Column::Repeated(strided_single(first, self.dtype, copies)));
        }
        let added = shape.len() - own_shape.len();
        let strides = (0..shape.len()).map(|dimension| match dimension.checked_sub(added) {
            Some(own) if own_shape[own] != 1 => own_strides[own],
            _ => 0,
        });
        // SAFETY: as above; a dimension without a stride repeats its element.
        let strided = unsafe { Strided::new(first, self.dtype, shape.to_vec(), strides.collect()) };
        Ok(match own_shape.iter().product::<usize>() {
            1 if rows > 0 => Column::Repeated(strided_single(first, self.dtype, copies)),
            _ => Column::Strided(strided),
        })
    }
}

/// Copies of one element.
fn strided_single(first: *const u8, dtype: DType, copies: usize) -> ArrayRef {
    // SAFETY: the array has one element, which is repeated.
    unsafe { Strided::new(first, dtype, vec![copies], vec![0]) }.copy(0, copies)
}

/// The arguments of a call; `None` if one is neither an array of NumPy nor a number.
///
/// # Errors
/// `TypeError`: their number is wrong, or an array has elements that are not numbers.
pub fn read_numpy(
    arguments: &Bound<'_, PyTuple>,
    function: &str,
    names: &[String],
) -> PyResult<Option<Vec<Argument>>> {
    check_count(arguments, function, names)?;
    arguments.iter().zip(names).map(|(argument, name)| Argument::read(&argument, name)).collect()
}

/// The arguments of a call, of which some have a mask of their shape.
///
/// # Errors
/// `TypeError`: as for [`read_numpy`], or an argument is neither an array of NumPy nor a number.
pub fn read_masked(
    arguments: &Bound<'_, PyTuple>,
    masks: &Bound<'_, PyTuple>,
    function: &str,
    names: &[String],
) -> PyResult<Vec<Argument>> {
    check_count(arguments, function, names)?;
    check_count(masks, function, names)?;
    let read = arguments.iter().zip(masks).zip(names).map(|((argument, mask), name)| {
        let invalid = || PyTypeError::new_err(format!("the mask of {name} is not an array of its shape"));
        match (Argument::read(&argument, name)?, mask.is_none()) {
            (Some(argument), true) => Ok(argument),
            (Some(Argument::Array(array)), false) => match Argument::read(&mask, name)? {
                Some(Argument::Array(mask)) if mask.dtype == DType::Bool && mask.shape() == array.shape() => {
                    Ok(Argument::Masked(array, mask))
                }
                _ => Err(invalid()),
            },
            _ => Err(invalid()),
        }
    });
    read.collect()
}

/// The arguments of a call, of which some may be Arrow arrays.
///
/// # Errors
/// `TypeError`: as for [`read_numpy`], or an argument is of another kind.
pub fn read_any(arguments: &Bound<'_, PyTuple>, function: &str, names: &[String]) -> PyResult<Vec<Argument>> {
    check_count(arguments, function, names)?;
    let read = arguments.iter().zip(names).map(|(argument, name)| {
        if let Some(read) = Argument::read(&argument, name)? {
            return Ok(read);
        }
        let array = import_array(&argument)?;
        match DType::of_arrow(array.data_type()) {
            Some(dtype) => Ok(Argument::Arrow(array, dtype)),
            None => Err(PyTypeError::new_err(format!(
                "the argument {name} has elements of type {}, of which there are no programs: use Booleans, \
                 integers, float32 or float64",
                array.data_type()
            ))),
        }
    });
    read.collect()
}

fn check_count(arguments: &Bound<'_, PyTuple>, function: &str, names: &[String]) -> PyResult<()> {
    if arguments.len() == names.len() {
        return Ok(());
    }
    let (expected, found) = (names.len(), arguments.len());
    Err(PyTypeError::new_err(format!("{function}() takes {expected} arguments, not {found}")))
}

/// The shape of the result: that of all arguments, broadcast as NumPy does.
///
/// # Errors
/// `ValueError`: the shapes do not fit together.
pub fn broadcast_shape(arguments: &[Argument], names: &[String]) -> PyResult<Vec<usize>> {
    let mut shape: Vec<usize> = Vec::new();
    let mut of = "";
    for (argument, name) in arguments.iter().zip(names) {
        let own = argument.shape();
        let before = shape.clone();
        if own.len() > shape.len() {
            shape.splice(0..0, std::iter::repeat_n(1, own.len() - shape.len()));
        }
        let added = shape.len() - own.len();
        for (dimension, &length) in own.iter().enumerate() {
            let target = &mut shape[added + dimension];
            match (*target, length) {
                (a, b) if a == b || b == 1 => {}
                (1, b) => *target = b,
                _ => {
                    return Err(PyValueError::new_err(format!(
                        "the arguments have different lengths: {of} has the shape {}, and {name} has {}",
                        shape_text(&before),
                        shape_text(&own)
                    )));
                }
            }
        }
        if before != shape || of.is_empty() {
            of = name;
        }
    }
    let arrow = arguments.iter().zip(names).find(|(argument, _)| matches!(argument, Argument::Arrow(..)));
    match arrow {
        Some((_, name)) if shape.len() > 1 => Err(PyValueError::new_err(format!(
            "the arguments have different shapes: {name} is an Arrow array, and {of} has the shape {}",
            shape_text(&shape)
        ))),
        _ => Ok(shape),
    }
}

/// A shape as Python writes it.
pub fn shape_text(shape: &[usize]) -> String {
    match shape {
        [length] => format!("({length},)"),
        _ => format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}
