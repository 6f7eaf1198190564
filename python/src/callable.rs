//! Calls with arguments of Python, which functions and expressions have in common.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyNotImplemented, PyTuple};

use crate::arguments::{Argument, read_any, read_masked, read_numpy};
use crate::arrow_stream::ArrowArray;
use crate::compiled::{Call, Compiled};

/// The values of a call and their mask, or `None` if nothing is null.
pub type MaskedResult<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>);

/// What is compiled for the types of its arguments, and called with them.
pub trait Callable {
    /// The name in messages.
    fn name(&self) -> &str;

    /// The names of the parameters.
    fn parameters(&self) -> &[String];

    /// The form for the types of these arguments.
    ///
    /// # Errors
    /// It is not defined for them.
    fn compiled(&self, arguments: &[Argument]) -> PyResult<Arc<Compiled>>;

    /// Evaluates arrays and numbers: a new array, a scalar if there are no arrays, or `out`. `NotImplemented` if an argument is
    /// neither an array nor a number.
    fn call<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(arguments) = read_numpy(args, self.name(), self.parameters())? else {
            return Ok(PyNotImplemented::get(py).to_owned().into_any());
        };
        let compiled = self.compiled(&arguments)?;
        let call = Call::new(&arguments, self.parameters())?;
        let Some(out) = out else { return compiled.call(py, &call, self.parameters()) };
        let inputs: Vec<_> = args.iter().collect();
        compiled.call_into(py, &call, self.parameters(), &inputs, out)?;
        Ok(out.clone())
    }

    /// Evaluates arrays with masks, which are arrays or `None`, and numbers.
    fn call_masked<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        masks: &Bound<'py, PyTuple>,
    ) -> PyResult<MaskedResult<'py>> {
        let arguments = read_masked(args, masks, self.name(), self.parameters())?;
        let call = Call::new(&arguments, self.parameters())?;
        self.compiled(&arguments)?.call_masked(py, &call, self.parameters())
    }

    /// Evaluates Arrow arrays, arrays of one dimension and numbers.
    fn call_arrow(&self, py: Python<'_>, args: &Bound<'_, PyTuple>) -> PyResult<ArrowArray> {
        let arguments = read_any(args, self.name(), self.parameters())?;
        let call = Call::new(&arguments, self.parameters())?;
        let array = self.compiled(&arguments)?.call_arrow(py, &call, self.parameters())?;
        Ok(ArrowArray::new(array))
    }
}
