//! Functions that are compiled for the types of their arguments, and the calls of them.

use std::mem::MaybeUninit;
use std::sync::Arc;

use arrow::array::{ArrayData, ArrayRef, make_array};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use pyo3::exceptions::{PyMemoryError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use warpframe::backend_names::AUTO;
use warpframe::ir::{Kernel, Program, Reductions, Scalar, ScalarType};

use crate::arguments::{Argument, broadcast_shape, shape_text};
use crate::columns::Column;
use crate::dtype::DType;
use crate::engine::{Evaluation, Reduced};
use crate::lowering::ParameterType;
use crate::numpy::{array_over, may_share_memory, ndarray_type, scalar};
use crate::result_memory::ResultMemory;
use crate::threads::get_num_threads;

/// A compiled function.
#[derive(Debug)]
pub struct Compiled {
    /// The program, with one output.
    pub program: Arc<Program>,
    /// Its kernel.
    pub kernel: Arc<dyn Kernel>,
    /// The type of the result.
    pub dtype: DType,
    /// The types in whose range the arguments of Python integers must be.
    pub limits: Vec<(usize, DType)>,
}

/// The arguments of a call, with the shape of the result.
pub struct Call<'a> {
    arguments: &'a [Argument],
    /// The shape, in the order of NumPy.
    shape: Vec<usize>,
    /// The number of rows, the product of the shape.
    rows: usize,
    /// Whether the rows are in Fortran's order.
    fortran: bool,
}

impl<'a> Call<'a> {
    /// A call with these arguments.
    ///
    /// # Errors
    /// The shapes do not fit together.
    pub fn new(arguments: &'a [Argument], names: &[String]) -> PyResult<Self> {
        let shape = broadcast_shape(arguments, names)?;
        let rows = shape.iter().try_fold(1usize, |rows, length| rows.checked_mul(*length));
        let Some(rows) = rows.filter(|rows| *rows <= isize::MAX as usize / size_of::<u64>()) else {
            return Err(PyMemoryError::new_err(format!(
                "a result of the shape {} is larger than any memory",
                shape_text(&shape)
            )));
        };
        let full = || arguments.iter().filter(|argument| !argument.shape().is_empty());
        // Arrays that are all in Fortran's order, such as transposed ones, are read in it.
        let fortran = shape.len() > 1
            && full().all(|argument| argument.orders().1 && argument.shape() == shape)
            && full().any(|argument| !argument.orders().0);
        Ok(Self { arguments, shape, rows, fortran })
    }

    fn columns(&self) -> PyResult<Vec<Column>> {
        self.arguments.iter().map(|argument| argument.column(&self.shape, self.fortran)).collect()
    }
}

impl Compiled {
    /// Checks the Python integers among the arguments.
    ///
    /// # Errors
    /// `OverflowError`: an integer is not in the range of the type that it takes.
    fn check_limits(&self, arguments: &[Argument], names: &[String]) -> PyResult<()> {
        for (position, dtype) in &self.limits {
            if let Argument::Int(number) = arguments[*position]
                && !dtype.holds(number)
            {
                return Err(PyOverflowError::new_err(format!(
                    "the Python integer {} = {number} is not in the range of {}",
                    names[*position],
                    dtype.name()
                )));
            }
        }
        Ok(())
    }

    /// Evaluates a call: a new array, or a scalar if no argument is an array.
    pub fn call<'py>(
        &self,
        py: Python<'py>,
        call: &Call<'_>,
        names: &[String],
    ) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.call_masked(py, call, names)?.0)
    }

    /// Evaluates a call whose arguments may have masks: the values, and the mask of nulls in the shape of the result, if there
    /// are any.
    pub fn call_masked<'py>(
        &self,
        py: Python<'py>,
        call: &Call<'_>,
        names: &[String],
    ) -> PyResult<(Bound<'py, PyAny>, Option<Bound<'py, PyAny>>)> {
        self.check_limits(call.arguments, names)?;
        let bytes = call.rows * self.dtype.size();
        let memory = ResultMemory::new(bytes)?;
        // SAFETY: the memory has this size, and nothing else refers to it yet.
        let target = unsafe { std::slice::from_raw_parts_mut(memory.address().cast(), bytes) };
        let nulls = self.write(py, call, target)?;
        let values = array_over(py, memory, self.dtype, &call.shape, call.fortran)?;
        let mask = nulls.map(|nulls| {
            let memory = ResultMemory::new(call.rows)?;
            for (row, valid) in nulls.iter().enumerate() {
                // SAFETY: the memory has a byte for each row.
                unsafe { memory.address().add(row).write(u8::from(!valid)) };
            }
            array_over(py, memory, DType::Bool, &call.shape, call.fortran)
        });
        Ok((values, mask.transpose()?))
    }

    /// Evaluates a call into an array.
    ///
    /// # Errors
    /// `TypeError` and `ValueError`: the array has another type or shape than the result, or cannot be written.
    pub fn call_into(
        &self,
        py: Python<'_>,
        call: &Call<'_>,
        names: &[String],
        inputs: &[Bound<'_, PyAny>],
        out: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if !out.get_type().is(ndarray_type(py)?) {
            return Err(PyTypeError::new_err(format!(
                "out must be a numpy.ndarray, not {}",
                out.get_type().name()?
            )));
        }
        let Some(Argument::Array(target)) = Argument::read(out, "out")? else {
            return Err(PyTypeError::new_err("out has elements in the byte order of another machine"));
        };
        if target.dtype != self.dtype {
            return Err(PyTypeError::new_err(format!(
                "out has elements of type {}, and the result {}",
                target.dtype.name(),
                self.dtype.name()
            )));
        }
        if target.is_readonly() {
            return Err(PyValueError::new_err("out is read-only"));
        }
        if target.shape() != call.shape {
            return Err(PyValueError::new_err(format!(
                "out has the shape {}, and the result {}",
                shape_text(target.shape()),
                shape_text(&call.shape)
            )));
        }
        let mut direct = target.is_contiguous(call.fortran);
        for input in inputs {
            // Numbers share no memory.
            direct = direct && !(input.get_type().is(ndarray_type(py)?) && may_share_memory(input, out)?);
        }
        if !direct {
            let result = self.call(py, call, names)?;
            return out.set_item(pyo3::types::PyEllipsis::get(py), result);
        }
        self.check_limits(call.arguments, names)?;
        if call.rows == 0 {
            return Ok(());
        }
        let bytes = call.rows * self.dtype.size();
        // SAFETY: the array is writable and contiguous, and shares no memory with the arguments. Python code that reads it at
        // the same time sees some of the new values, as with NumPy's own functions.
        let target = unsafe { std::slice::from_raw_parts_mut(target.address().cast(), bytes) };
        self.write(py, call, target)?;
        Ok(())
    }

    fn write(
        &self,
        py: Python<'_>,
        call: &Call<'_>,
        target: &mut [MaybeUninit<u8>],
    ) -> PyResult<Option<NullBuffer>> {
        if call.rows == 0 {
            return Ok(None);
        }
        let columns = call.columns()?;
        let evaluation = Evaluation { kernel: &*self.kernel, columns: &columns, rows: call.rows };
        evaluation.write(py, self.dtype.size(), target)
    }

    /// Evaluates a call on Arrow arrays. Rows in which an argument is null are null.
    pub fn call_arrow(&self, py: Python<'_>, call: &Call<'_>, names: &[String]) -> PyResult<ArrayRef> {
        self.check_limits(call.arguments, names)?;
        let rows = call.rows;
        let bytes = rows * self.dtype.size();
        let elements = bytes.div_ceil(size_of::<u64>());
        let mut values: Vec<u64> = Vec::with_capacity(elements);
        let spare = &mut values.spare_capacity_mut()[..elements];
        // Some bytes of the last element may be none of a value.
        spare.last_mut().map(|last| last.write(0));
        // SAFETY: the elements have these bytes, and nothing else refers to them.
        let target = unsafe { std::slice::from_raw_parts_mut(spare.as_mut_ptr().cast(), bytes) };
        let nulls = self.write(py, call, target)?;
        // SAFETY: all values were written, and the last element before them.
        unsafe { values.set_len(elements) };
        let buffer = match self.dtype {
            DType::Bool => {
                let bytes = Buffer::from_vec(values);
                let bytes = bytes.as_slice();
                BooleanBuffer::collect_bool(rows, |row| bytes[row] != 0).into_inner()
            }
            _ => Buffer::from_vec(values),
        };
        let data = ArrayData::builder(self.dtype.arrow()).len(rows).add_buffer(buffer).nulls(nulls);
        Ok(make_array(data.build().map_err(|error| PyValueError::new_err(error.to_string()))?))
    }

    /// The types, the backend that the name `backend` has chosen, why, and the program.
    pub fn explain(
        &self,
        name: &str,
        parameters: &[String],
        arguments: &[Argument],
        backend: &str,
    ) -> String {
        let parameters = parameters.iter().zip(arguments).map(|(name, argument)| {
            let dtype = match argument.parameter_type() {
                ParameterType::Typed(dtype) => dtype.name(),
                ParameterType::Int => "int",
                ParameterType::Float => "float",
            };
            format!("{name}: {dtype}")
        });
        let parameters = parameters.collect::<Vec<_>>().join(", ");
        let why = match warpframe::cuda::gpus() {
            _ if backend != AUTO => "it was asked for".to_owned(),
            // The kernel's description has the reason.
            Ok(_) => "the faster one for the number of rows".to_owned(),
            Err(error) => format!("there is no GPU: {error}"),
        };
        format!(
            "{name}({parameters}) -> {}\nbackend: {} ({why})\nthreads: {}\nprogram:\n{}",
            self.dtype.name(),
            self.kernel.description(),
            get_num_threads(),
            self.program
        )
    }

    /// Reduces the values of a call to a scalar of NumPy. `dtype` is the type of the function's result, of which the program's
    /// output is a conversion if it is `bool`.
    pub fn reduce<'py>(
        &self,
        py: Python<'py>,
        call: &Call<'_>,
        names: &[String],
        kind: Reduction,
        dtype: DType,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.check_limits(call.arguments, names)?;
        let columns = if call.rows == 0 { Vec::new() } else { call.columns()? };
        let evaluation = Evaluation { kernel: &*self.kernel, columns: &columns, rows: call.rows };
        let reduced = evaluation.reduce(py, self.dtype.scalar_type(), kind.reductions())?;
        kind.result(py, &Reduced::of(&reduced), dtype)
    }
}

/// A reduction of all values of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The number of values that are not null.
    Count,
    /// The sum.
    Sum,
    /// The arithmetic mean.
    Mean,
    /// The smallest value; NaN if there is one.
    Min,
    /// The largest value; NaN if there is one.
    Max,
    /// The population variance.
    Var,
    /// The population standard deviation.
    Std,
}

impl Reduction {
    /// The reduction of this name.
    ///
    /// # Errors
    /// `ValueError`: there is none.
    pub fn of_name(name: &str) -> PyResult<Self> {
        Ok(match name {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "mean" => Self::Mean,
            "min" => Self::Min,
            "max" => Self::Max,
            "var" => Self::Var,
            "std" => Self::Std,
            _ => return Err(PyValueError::new_err(format!("there is no reduction {name}"))),
        })
    }

    fn reductions(self) -> Reductions {
        let none = Reductions::default();
        match self {
            Self::Count => none,
            Self::Sum => Reductions { sum: true, ..none },
            // NaN is the smallest or the largest value in total order, depending on its sign.
            Self::Min | Self::Max => Reductions { min: true, max: true, ..none },
            // A sum of integers may wrap around, and their mean does not.
            Self::Mean => Reductions { sum: true, moments: true, ..none },
            Self::Var | Self::Std => Reductions { moments: true, ..none },
        }
    }

    fn result<'py>(self, py: Python<'py>, reduced: &Reduced, dtype: DType) -> PyResult<Bound<'py, PyAny>> {
        // The type of means and variances, and that of sums.
        let float = if dtype == DType::Float32 { DType::Float32 } else { DType::Float64 };
        let number = |scalar: Option<Scalar>| {
            let scalar = scalar.map(|scalar| scalar.cast(ScalarType::F64));
            scalar.and_then(Scalar::as_float).unwrap_or(0.0)
        };
        match self {
            Self::Count => scalar(py, DType::Int64, reduced.count),
            Self::Sum if dtype.is_float() => scalar(py, dtype, number(reduced.sum)),
            Self::Sum => {
                let sum = reduced.sum.and_then(Scalar::as_integer).unwrap_or(0);
                match dtype.is_integer() && !dtype.is_signed() {
                    // Sums of unsigned integers are unsigned, and both wrap around.
                    true => scalar(py, DType::UInt64, sum as u64),
                    false => scalar(py, DType::Int64, sum),
                }
            }
            Self::Mean if reduced.count == 0 => scalar(py, float, f64::NAN),
            Self::Mean if !dtype.is_float() => scalar(py, float, reduced.moments.mean),
            Self::Mean => scalar(py, float, number(reduced.sum) / reduced.count as f64),
            Self::Var | Self::Std => {
                let variance = reduced.moments.m2 / reduced.moments.count as f64;
                scalar(py, float, if self == Self::Std { variance.sqrt() } else { variance })
            }
            Self::Min | Self::Max => {
                let (Some(min), Some(max)) = (reduced.min, reduced.max) else {
                    let name = if self == Self::Min { "minimum" } else { "maximum" };
                    return Err(PyValueError::new_err(format!("there are no values, so there is no {name}")));
                };
                let is_nan = |value: Scalar| value.as_float().is_some_and(f64::is_nan);
                let value = match (is_nan(min), is_nan(max)) {
                    (true, _) => min,
                    (_, true) => max,
                    _ if self == Self::Min => min,
                    _ => max,
                };
                match value {
                    Scalar::F32(value) => scalar(py, dtype, value),
                    Scalar::F64(value) => scalar(py, dtype, value),
                    other => scalar(py, dtype, other.as_integer().unwrap_or(0)),
                }
            }
        }
    }
}
