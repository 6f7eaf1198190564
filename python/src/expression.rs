//! SQL expressions over arrays, without a query.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{Field, Schema};
use datafusion::common::DFSchema;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use warpframe::Session;
use warpframe::backend_names::AUTO;
use warpframe::ir::{self, Builder, Input, Output, Program};
use warpframe::lowering::{Compiled as Lowered, compile};

use crate::arguments::Argument;
use crate::arrow_stream::ArrowArray;
use crate::callable::{Callable, MaskedResult};
use crate::compiled::Compiled;
use crate::compiled_forms::CompiledForms;
use crate::dtype::DType;
use crate::engine::kernel;

/// A SQL expression over arrays, compiled for each combination of types that it is evaluated with.
#[pyclass(module = "warpframe._warpframe", frozen)]
pub struct Expression {
    text: String,
    names: Vec<String>,
    compiled: CompiledForms<Types>,
}

/// The types of the arrays, and whether each may have nulls.
type Types = Vec<(DType, bool)>;

/// Collects the names of columns.
struct Names(BTreeSet<String>);

impl Visitor for Names {
    type Break = String;

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<Self::Break> {
        match expr {
            SqlExpr::Identifier(name) => {
                self.0.insert(name.value.clone());
            }
            SqlExpr::CompoundIdentifier(_) => return ControlFlow::Break(expr.to_string()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The session that expressions are parsed in.
fn session() -> PyResult<&'static Session> {
    static SESSION: OnceLock<Session> = OnceLock::new();
    if let Some(session) = SESSION.get() {
        return Ok(session);
    }
    let session = Session::new().map_err(|error| PyValueError::new_err(error.message().into_owned()))?;
    let state = session.context().state_ref();
    // Names are Python's: capital letters matter.
    state.write().config_mut().options_mut().sql_parser.enable_ident_normalization = false;
    Ok(SESSION.get_or_init(|| session))
}

impl Expression {
    fn compile(&self, types: &[(DType, bool)]) -> PyResult<Compiled> {
        let invalid = |error: datafusion::error::DataFusionError| {
            PyValueError::new_err(error.find_root().message().into_owned())
        };
        let fields = self.names.iter().zip(types);
        let fields = fields.map(|(name, (dtype, nullable))| Field::new(name, dtype.arrow(), *nullable));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let columns = DFSchema::try_from(schema.clone()).map_err(invalid)?;
        let parsed = session()?.context().parse_sql_expr(&self.text, &columns).map_err(invalid)?;
        let compiled = compile(&parsed, &schema).map_err(invalid)?;
        let data_type = compiled.program.data_type();
        let Some(dtype) = DType::of_arrow(data_type) else {
            return Err(PyTypeError::new_err(format!(
                "the expression is {data_type}, which is not numeric: use a Session for it"
            )));
        };
        let program = self
            .with_all_inputs(&compiled, types)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let kernel = kernel(AUTO, &program)?;
        Ok(Compiled { program, kernel, dtype, limits: Vec::new() })
    }

    /// The program with an input for each name, in their order: an expression may not depend on all, such as `x * 0 + y`
    /// after simplification.
    fn with_all_inputs(&self, compiled: &Lowered, types: &[(DType, bool)]) -> ir::Result<Arc<Program>> {
        if compiled.columns == self.names {
            return Ok(Arc::clone(&compiled.program));
        }
        let mut builder = Builder::new();
        let inputs = self.names.iter().zip(types).map(|(name, (dtype, nullable))| {
            (name, builder.add_input(Input { data_type: dtype.arrow(), nullable: *nullable }))
        });
        let inputs: HashMap<_, _> = inputs.collect();
        let values = compiled.columns.iter().filter_map(|name| inputs.get(name).copied());
        let values: Vec<_> = values.collect();
        let outputs = builder.inline(&compiled.program, &values, None)?;
        let outputs = outputs.into_iter().zip(compiled.program.outputs());
        let outputs = outputs.map(|(value, output)| Output { value, data_type: output.data_type.clone() });
        Ok(Arc::new(builder.finish(outputs.collect(), None)?))
    }
}

impl Callable for Expression {
    fn name(&self) -> &str {
        "evaluate"
    }

    fn parameters(&self) -> &[String] {
        &self.names
    }

    fn compiled(&self, arguments: &[Argument]) -> PyResult<Arc<Compiled>> {
        let types = arguments
            .iter()
            .map(|argument| (argument.parameter_type().dtype(), argument.may_have_nulls()))
            .collect();
        self.compiled.get_or_compile(types, |types: &Types| self.compile(types))
    }
}

#[pymethods]
impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// `ValueError`: it is not an expression of SQL, or has a name with a dot.
    #[new]
    fn new(text: String) -> PyResult<Self> {
        let invalid =
            |error: String| PyValueError::new_err(format!("'{text}' is not an expression: {error}"));
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(&text).and_then(|mut parser| {
            let expr = parser.parse_expr()?;
            parser.expect_token(&Token::EOF)?;
            Ok(expr)
        });
        let parsed = parsed.map_err(|error| invalid(error.to_string()))?;
        let mut names = Names(BTreeSet::new());
        if let ControlFlow::Break(name) = parsed.visit(&mut names) {
            return Err(invalid(format!("{name} is not the name of an array")));
        }
        Ok(Self { names: names.0.into_iter().collect(), text, compiled: CompiledForms::default() })
    }

    /// The names of the arrays, sorted.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// Evaluates arrays and numbers, one for each name: see `Function.call`.
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
}
