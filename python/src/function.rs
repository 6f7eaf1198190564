//! Traced functions.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyNotImplemented, PyTuple};

use crate::arguments::{Argument, read_any, read_masked, read_numpy};
use crate::arrow_stream::ArrowArray;
use crate::callable::{Callable, MaskedResult};
use crate::compiled::{Call, Compiled, Reduction};
use crate::compiled_forms::CompiledForms;
use crate::dtype::DType;
use crate::engine::kernel;
use crate::lowering::{Lowered, ParameterType, lower};
use crate::scalar_udf::{self, TracedFunction};
use crate::trace::{Node, Trace};

/// A traced function: it is compiled for each combination of types that it is called with.
#[pyclass(module = "warpframe._warpframe", frozen)]
pub struct Function {
    name: String,
    parameters: Vec<String>,
    trace: Arc<Trace>,
    backend: String,
    compiled: CompiledForms<Key>,
}

/// What a form is compiled for.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    types: Vec<ParameterType>,
    /// Whether an argument may have nulls.
    nullable: bool,
    /// Whether it is for a reduction, which has no Booleans.
    reduces: bool,
}

impl Function {
    /// The function of SQL.
    pub fn udf(&self) -> ScalarUDF {
        TracedFunction::udf(&self.name, self.parameters.len(), &self.trace)
    }

    fn compiled_for(&self, arguments: &[Argument], reduces: bool) -> PyResult<Arc<Compiled>> {
        let types = arguments.iter().map(Argument::parameter_type).collect();
        let nullable = arguments.iter().any(Argument::may_have_nulls);
        self.compiled.get_or_compile(Key { types, nullable, reduces }, |key| self.compile(key))
    }

    fn compile(&self, key: &Key) -> PyResult<Compiled> {
        let lowered = lower(&self.trace, &key.types, key.nullable)?;
        let Lowered { program, dtype, limits } = match key.reduces && lowered.dtype == DType::Bool {
            true => {
                let position = self.trace.nodes.len();
                let mut nodes = self.trace.nodes.clone();
                nodes.push(Node::Cast(DType::Int64, self.trace.result));
                lower(&Trace { nodes, result: position }, &key.types, key.nullable)?
            }
            false => lowered,
        };
        let kernel = kernel(&self.backend, &program)?;
        Ok(Compiled { program, kernel, dtype, limits })
    }
}

impl Callable for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn parameters(&self) -> &[String] {
        &self.parameters
    }

    fn compiled(&self, arguments: &[Argument]) -> PyResult<Arc<Compiled>> {
        self.compiled_for(arguments, false)
    }
}

#[pymethods]
impl Function {
    /// A function of these parameters. `nodes` are the operations of its trace, and `result` is the position of the one whose
    /// value it returns.
    #[new]
    #[pyo3(signature = (name, parameters, nodes, result, backend = "auto"))]
    fn new(
        name: String,
        parameters: Vec<String>,
        nodes: Vec<Bound<'_, PyTuple>>,
        result: usize,
        backend: &str,
    ) -> PyResult<Self> {
        let trace = Arc::new(Trace::read(parameters.len(), &nodes, result)?);
        Ok(Self { name, parameters, trace, backend: backend.to_owned(), compiled: CompiledForms::default() })
    }

    /// The names of the parameters.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.parameters.clone()
    }

    /// Evaluates arrays and numbers: a new array, a scalar if there are no arrays, or `out`. `NotImplemented` if an argument is
    /// neither an array nor a number.
    #[pyo3(signature = (args, out = None))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Callable::call(self, py, args, out)
    }

    /// Evaluates arrays with masks, which are arrays or `None`, and numbers: the values and their mask, or `None`.
    fn call_masked<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        masks: &Bound<'py, PyTuple>,
    ) -> PyResult<MaskedResult<'py>> {
        Callable::call_masked(self, py, args, masks)
    }

    /// Evaluates Arrow arrays, arrays of one dimension and numbers.
    fn call_arrow(&self, py: Python<'_>, args: &Bound<'_, PyTuple>) -> PyResult<ArrowArray> {
        Callable::call_arrow(self, py, args)
    }

    /// Reduces the values for arrays and numbers to a scalar. `NotImplemented` as for `call`.
    fn reduce<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match read_numpy(args, &self.name, &self.parameters)? {
            Some(arguments) => self.reduced(py, kind, &arguments),
            None => Ok(PyNotImplemented::get(py).to_owned().into_any()),
        }
    }

    /// Reduces the values for arrays with masks; nulls are left out.
    fn reduce_masked<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        args: &Bound<'py, PyTuple>,
        masks: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.reduced(py, kind, &read_masked(args, masks, &self.name, &self.parameters)?)
    }

    /// Reduces the values for Arrow arrays; nulls are left out.
    fn reduce_arrow<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.reduced(py, kind, &read_any(args, &self.name, &self.parameters)?)
    }

    /// The function for `datafusion.udf`.
    fn __datafusion_scalar_udf__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        scalar_udf::export(py, self.udf())
    }

    /// The types, the backend and the program of a call with these arguments.
    fn explain(&self, args: &Bound<'_, PyTuple>) -> PyResult<String> {
        let arguments = read_any(args, &self.name, &self.parameters)?;
        let compiled = self.compiled_for(&arguments, false)?;
        Ok(compiled.explain(&self.name, &self.parameters, &arguments, &self.backend))
    }
}

impl Function {
    fn reduced<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        arguments: &[Argument],
    ) -> PyResult<Bound<'py, PyAny>> {
        let kind = Reduction::of_name(kind)?;
        let dtype = self.compiled_for(arguments, false)?.dtype;
        let compiled = self.compiled_for(arguments, true)?;
        compiled.reduce(py, &Call::new(arguments, &self.parameters)?, &self.parameters, kind, dtype)
    }
}
