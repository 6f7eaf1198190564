//! Traced functions in SQL: scalar functions of DataFusion, which the optimizer replaces by the program for the types of the
//! arguments. Plans that travel to a cluster have the program, and nothing of Python.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_ffi::udf::FFI_ScalarUDF;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use warpframe::functions::FusedFunction;

use crate::dtype::DType;
use crate::lowering::{Lowered, LoweringError, ParameterType, lower};
use crate::trace::Trace;

/// A traced function as a scalar function.
#[derive(Debug)]
pub struct TracedFunction {
    name: String,
    parameters: usize,
    trace: Arc<Trace>,
    signature: Signature,
    /// The name in lower case, which SQL makes of names without quotes, if it differs.
    aliases: Vec<String>,
    /// The functions of the programs for types of arguments, for evaluation outside of a plan.
    fused: Mutex<HashMap<Vec<DataType>, Arc<FusedFunction>>>,
}

impl TracedFunction {
    /// The scalar function of a trace with this number of parameters.
    pub fn udf(name: &str, parameters: usize, trace: &Arc<Trace>) -> ScalarUDF {
        let lower_case = name.to_lowercase();
        ScalarUDF::from(Self {
            aliases: if lower_case == name { Vec::new() } else { vec![lower_case] },
            name: name.to_owned(),
            parameters,
            trace: Arc::clone(trace),
            signature: Signature::user_defined(Volatility::Immutable),
            fused: Mutex::default(),
        })
    }

    fn lower(&self, types: &[DataType]) -> Result<Lowered> {
        let parameters = types.iter().map(|data_type| match DType::of_arrow(data_type) {
            Some(dtype) => Ok(ParameterType::Typed(dtype)),
            None => plan_err!("{} has no parameters of type {data_type}", self.name),
        });
        let parameters: Vec<_> = parameters.collect::<Result<_>>()?;
        lower(&self.trace, &parameters, true)
            .map_err(|error| DataFusionError::Plan(format!("{}: {}", self.name, message(&error))))
    }

    /// The function that evaluates the program for types of arguments.
    fn fused(&self, types: Vec<DataType>) -> Result<Arc<FusedFunction>> {
        if let Some(fused) = self.fused.lock().get(&types) {
            return Ok(Arc::clone(fused));
        }
        let program = self.lower(&types)?.program;
        let fused = Arc::new(FusedFunction::new(program, self.name.clone(), self.name.clone(), true));
        self.fused.lock().insert(types, Arc::clone(&fused));
        Ok(fused)
    }
}

fn message(error: &LoweringError) -> &str {
    match error {
        LoweringError::Type(message) | LoweringError::Overflow(message) | LoweringError::Value(message) => {
            message
        }
    }
}

impl PartialEq for TracedFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.trace, &other.trace)
    }
}

impl Eq for TracedFunction {}

impl Hash for TracedFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, Arc::as_ptr(&self.trace)).hash(state);
    }
}

impl ScalarUDFImpl for TracedFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.lower(types)?.dtype.arrow())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<_> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = arguments.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(&self.name, self.return_type(&types)?, nullable)))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.len() != self.parameters {
            return plan_err!("{} takes {} arguments, not {}", self.name, self.parameters, types.len());
        }
        let coerced = types.iter().map(|data_type| match data_type {
            DataType::Null => Ok(DataType::Float64),
            DataType::Float16 => Ok(DataType::Float32),
            decimal if decimal.is_decimal() => Ok(DataType::Float64),
            other if DType::of_arrow(other).is_some() => Ok(other.clone()),
            other => plan_err!("{} takes numbers and Booleans, not {other}: use CAST", self.name),
        });
        coerced.collect()
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let types = arguments.iter().map(|argument| context.get_data_type(argument));
        let types: Vec<_> = types.collect::<Result<_>>()?;
        let mut nullable = false;
        for argument in &arguments {
            nullable |= context.nullable(argument)?;
        }
        // Columns keep the name of the call.
        let schema_name = self.schema_name(&arguments)?;
        let program = self.lower(&types)?.program;
        let label = format!("{}({})", self.name, join(&arguments));
        let fused = FusedFunction::new(program, label, schema_name, nullable);
        Ok(ExprSimplifyResult::Simplified(ScalarUDF::from(fused).call(arguments)))
    }

    // The default is an interval of type Null, which range analysis cannot combine with numeric intervals.
    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        let types: Vec<_> = inputs.iter().map(|input| input.data_type()).collect();
        Interval::make_unbounded(&self.return_type(&types)?)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        self.fused(types)?.invoke_with_args(arguments)
    }
}

fn join(arguments: &[Expr]) -> String {
    arguments.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The function for DataFusion's Python package, as a capsule of its protocol.
pub fn export(py: Python<'_>, function: ScalarUDF) -> PyResult<Bound<'_, PyCapsule>> {
    let udf = FFI_ScalarUDF::from(Arc::new(function));
    PyCapsule::new_with_value(py, udf, c"datafusion_scalar_udf")
}
