//! The function that a fused expression becomes: a program behind DataFusion's interface.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::backend::Backend;
use crate::config::WarpframeOptions;
use crate::program::Program;

/// A numeric expression as one function of its columns: `fused(ln(x) * ln(y))`. The fuse rule makes them;
/// nobody calls them by name.
#[derive(Debug)]
pub struct Fused {
    program: Arc<Program>,
    /// The expression as it is shown.
    formula: String,
    /// The name of the column that the expression was before.
    schema_name: String,
    nullable: bool,
    backend: Option<Arc<dyn Backend>>,
    name: String,
    signature: Signature,
}

impl Fused {
    /// A program in the place of an expression with this formula, column name and nullability.
    pub fn new(program: Program, formula: String, schema_name: String, nullable: bool) -> Self {
        Self::with_backend(Arc::new(program), formula, schema_name, nullable, None)
    }

    fn with_backend(
        program: Arc<Program>,
        formula: String,
        schema_name: String,
        nullable: bool,
        backend: Option<Arc<dyn Backend>>,
    ) -> Self {
        let name = match &backend {
            Some(backend) => format!("fused({formula})[{}]", backend.description()),
            None => format!("fused({formula})"),
        };
        let types = program.inputs().iter().map(|input| input.data_type.clone()).collect();
        let signature = Signature::exact(types, Volatility::Immutable);
        Self { program, formula, schema_name, nullable, backend, name, signature }
    }

    /// The same function, evaluated by `backend` whatever the session's option says, and shown with it in
    /// plans.
    pub fn bound_to(&self, backend: Arc<dyn Backend>) -> Self {
        let Self { program, formula, schema_name, nullable, .. } = self;
        Self::with_backend(
            Arc::clone(program),
            formula.clone(),
            schema_name.clone(),
            *nullable,
            Some(backend),
        )
    }

    /// The backend it was [bound](Self::bound_to) to.
    pub fn backend(&self) -> Option<&Arc<dyn Backend>> {
        self.backend.as_ref()
    }

    /// The expression as it is shown.
    pub fn formula(&self) -> &str {
        &self.formula
    }

    /// The name of the column that the expression was.
    pub fn column_name(&self) -> &str {
        &self.schema_name
    }

    /// Whether its results may be null.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// What it calculates.
    pub fn program(&self) -> &Program {
        &self.program
    }
}

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.schema_name == other.schema_name && self.program == other.program
    }
}

impl Eq for Fused {}

impl Hash for Fused {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.schema_name, &self.program).hash(state);
    }
}

impl ScalarUDFImpl for Fused {
    fn name(&self) -> &str {
        &self.name
    }

    // The column keeps its name, whatever computes it.
    fn schema_name(&self, _: &[Expr]) -> Result<String> {
        Ok(self.schema_name.clone())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.program.data_type())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(&self.schema_name, self.program.data_type(), self.nullable)))
    }

    fn is_strict(&self) -> bool {
        self.program.is_strict()
    }

    // The default is an interval of type Null, which range analysis cannot combine with numbers.
    fn evaluate_bounds(&self, _: &[&Interval]) -> Result<Interval> {
        Interval::make_unbounded(&self.program.data_type())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        evaluate(self.backend(), &self.program, arguments)
    }
}

/// Evaluates a program on a function's arguments, by the backend that the function was bound to, or else by the one
/// that the session's options mean: a scalar if all of them are.
pub(super) fn evaluate(
    bound: Option<&Arc<dyn Backend>>,
    program: &Program,
    arguments: ScalarFunctionArgs,
) -> Result<ColumnarValue> {
    let backend = match bound {
        Some(backend) => Arc::clone(backend),
        None => {
            let config = &arguments.config_options;
            WarpframeOptions::of(config).resolve_for(program, config.execution.target_partitions)?
        }
    };
    let all_scalar = arguments.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
    let rows = if all_scalar { 1 } else { arguments.number_rows };
    let arrays =
        arguments.args.into_iter().map(|value| value.into_array(rows)).collect::<Result<Vec<_>>>()?;
    let result = backend.evaluate(program, &arrays, rows)?;
    if all_scalar {
        Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
    } else {
        Ok(ColumnarValue::Array(result))
    }
}
