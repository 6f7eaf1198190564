//! Scalar functions that are defined by a program. Backends evaluate them, and calls are fused with the surrounding
//! expression.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use super::evaluate::evaluate;
use crate::backends::Backends;
use crate::errors::datafusion_error;
use warpframe_ir::ScalarType;
use warpframe_ir::backend::KernelContext;
use warpframe_ir::builder::Builder;
use warpframe_ir::error::{self, Error};
use warpframe_ir::instruction::Value;
use warpframe_ir::program::Program;

/// Appends a function's instructions to a program: takes the values of the parameters and returns that of the result.
pub type ProgramBody = fn(&mut Builder, &[Value]) -> Value;

/// A scalar function with numeric arguments and a floating-point result.
///
/// The result is Float32 if all arguments are Float32; otherwise arguments are coerced to Float64. The optimizer
/// replaces calls by [`FusedFunction`](super::FusedFunction)s.
pub struct ProgramFunction {
    name: &'static str,
    parameters: &'static [&'static str],
    body: ProgramBody,
    signature: Signature,
    documentation: Option<Documentation>,
    /// Whether the result is null exactly where an argument is, even if the program's instructions do not show it.
    strict: bool,
    /// The program for each type of the arguments.
    programs: [OnceLock<error::Result<Arc<Program>>>; ScalarType::ALL.len()],
}

impl ProgramFunction {
    /// A function with a name, parameter names and a body.
    pub fn new(name: &'static str, parameters: &'static [&'static str], body: ProgramBody) -> Self {
        let mut signature = Signature::user_defined(Volatility::Immutable);
        signature.parameter_names = Some(parameters.iter().map(|name| (*name).to_owned()).collect());
        Self {
            name,
            parameters,
            body,
            signature,
            documentation: None,
            strict: false,
            programs: Default::default(),
        }
    }

    /// The function with documentation for `SHOW FUNCTIONS`.
    pub fn with_documentation(self, documentation: Documentation) -> Self {
        Self { documentation: Some(documentation), ..self }
    }

    /// The function, whose result is known to be null exactly where an argument is.
    pub fn null_only_with_arguments(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Inlines a call into a program.
    ///
    /// # Errors
    /// The number of arguments is not the number of parameters.
    pub fn build(&self, builder: &mut Builder, arguments: &[Value]) -> error::Result<Value> {
        if arguments.len() != self.parameters.len() {
            return Err(Error::InvalidProgram(format!(
                "{} takes {} arguments, not {}",
                self.name,
                self.parameters.len(),
                arguments.len()
            )));
        }
        Ok((self.body)(builder, arguments))
    }

    /// The function's program for nullable inputs of a type. Built once for each type.
    ///
    /// # Errors
    /// The body builds an invalid program, such as one that takes the logarithm of an integer.
    pub fn program(&self, scalar_type: ScalarType) -> error::Result<Arc<Program>> {
        let program = self.programs[scalar_type as usize]
            .get_or_init(|| Builder::function(scalar_type, self.parameters.len(), self.body).map(Arc::new));
        program.clone()
    }
}

impl fmt::Debug for ProgramFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for ProgramFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && match (self.program(ScalarType::F64), other.program(ScalarType::F64)) {
                (Ok(one), Ok(other)) => one == other,
                _ => false,
            }
    }
}

impl Eq for ProgramFunction {}

impl Hash for ProgramFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for ProgramFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Self { name, parameters, .. } = self;
        if types.len() != parameters.len() {
            return plan_err!(
                "{name} takes {} arguments ({}), not {}",
                parameters.len(),
                parameters.join(", "),
                types.len()
            );
        }
        for (parameter, data_type) in parameters.iter().zip(types) {
            if !data_type.is_numeric() && !data_type.is_null() {
                return plan_err!(
                    "{name} takes numbers, but its argument {parameter} is {data_type}: CAST it first"
                );
            }
        }
        let single = types.iter().all(|data_type| *data_type == DataType::Float32);
        Ok(vec![if single { DataType::Float32 } else { DataType::Float64 }; parameters.len()])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [first, ..] => Ok(first.clone()),
            [] => internal_err!("{} was planned without arguments", self.name),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<_> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let data_type = self.return_type(&types)?;
        let nullable = !self.is_strict() || arguments.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name, data_type, nullable)))
    }

    fn is_strict(&self) -> bool {
        self.strict || self.program(ScalarType::F64).is_ok_and(|program| program.is_strict())
    }

    // The default is an interval of type Null, which range analysis cannot combine with numeric intervals.
    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        let data_type = inputs.first().map_or(DataType::Float64, |input| input.data_type());
        Interval::make_unbounded(&data_type)
    }

    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.schema_name().to_string()).collect();
        Ok(format!("{}({})", self.name, arguments.join(",")))
    }

    /// Evaluates calls that the optimizer does not replace, such as those with constant arguments.
    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar_type = match arguments.return_field.data_type() {
            DataType::Float32 => ScalarType::F32,
            _ => ScalarType::F64,
        };
        let program = self.program(scalar_type).map_err(datafusion_error)?;
        let kernel = Backends::shared_kernel(&arguments.config_options, &program)?;
        evaluate(kernel.as_ref(), &KernelContext::default(), arguments)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.documentation.as_ref()
    }
}
