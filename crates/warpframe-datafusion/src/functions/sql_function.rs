//! Functions that are defined by a SQL expression over their parameters. The optimizer inlines calls, so that the body
//! is fused with the surrounding expression and executors of a cluster do not need the definition.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDFImpl, Signature, TypeSignature, Volatility, cast,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;

use super::evaluate::evaluate_arrays;
use super::exact_expression::exact_expression;

/// A parameter of a SQL function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parameter {
    /// The name; `$1`, `$2`, ... for parameters without one.
    pub name: String,
    /// The type, to which arguments are coerced.
    pub data_type: DataType,
    /// The default value for calls that omit the argument.
    pub default: Option<Expr>,
}

impl Parameter {
    /// A parameter without a default.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self { name: name.into(), data_type, default: None }
    }

    /// The parameter with a default: an expression without columns, which is cast to the type of the parameter.
    pub fn with_default(self, default: Expr) -> Self {
        Self { default: Some(default), ..self }
    }
}

/// A parameter of type Float64.
impl From<&str> for Parameter {
    fn from(name: &str) -> Self {
        Self::new(name, DataType::Float64)
    }
}

/// A function `name(parameters) = body`.
#[derive(Debug)]
pub struct SqlFunction {
    name: String,
    parameters: Vec<Parameter>,
    /// The body, of the return type; parameters are columns with their names.
    body: Expr,
    return_type: DataType,
    signature: Signature,
    documentation: Documentation,
    /// The body as a physical expression, for calls that are not inlined, such as those with constant or volatile
    /// arguments.
    compiled: Arc<dyn PhysicalExpr>,
}

impl SqlFunction {
    /// Creates a function from a definition. Parameters are columns with their names in `body`, which is cast to
    /// `return_type`; without one, the return type is that of the body. The volatility is that of the body and the defaults.
    ///
    /// # Errors
    /// The body is not valid for parameters of these types, contains an aggregate function, a window function or a
    /// subquery, or cannot be cast to the return type; a default cannot be cast to the type of its parameter, or a
    /// parameter without default follows it; or two parameters have one name.
    pub fn new(
        state: &SessionState,
        name: String,
        parameters: Vec<Parameter>,
        body: Expr,
        return_type: Option<DataType>,
    ) -> Result<Self> {
        check_parameters(&name, &parameters)?;
        let schema = schema_of(&parameters, |_| true)?;
        check_scalar(&name, &body)?;
        let context = SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build();
        let simplifier = ExprSimplifier::new(context);
        // It is inlined after the rule that does this.
        let body = exact_expression(simplifier.coerce(body, &schema)?, &schema)?.data;
        let found = body.get_type(&schema)?;
        let return_type = return_type.unwrap_or_else(|| found.clone());
        let body = cast_checked(&name, "its body", body, &found, &return_type)?;
        let mut checked = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            let default = match parameter.default {
                Some(default) => {
                    let found = default.get_type(&DFSchema::empty())?;
                    let what = format!("the default of {}", parameter.name);
                    Some(cast_checked(&name, &what, default, &found, &parameter.data_type)?)
                }
                None => None,
            };
            checked.push(Parameter { default, ..parameter });
        }
        let compiled = state.create_physical_expr(body.clone(), &schema)?;
        let defaults = checked.iter().filter_map(|parameter| parameter.default.as_ref());
        let signature = signature(&checked, volatility(defaults.chain([&body])));
        let documentation = documentation(&name, &checked, &body);
        Ok(Self { name, parameters: checked, body, return_type, signature, documentation, compiled })
    }

    /// The body, of the return type; parameters are columns with their names.
    pub fn body(&self) -> &Expr {
        &self.body
    }

    /// The schema of the body: a column for each parameter.
    ///
    /// # Errors
    /// Never: the names of parameters are distinct.
    pub fn parameter_schema(&self) -> Result<DFSchema> {
        schema_of(&self.parameters, |_| true)
    }

    /// Evaluates the body on the arguments, and the defaults of omitted ones.
    fn evaluate(&self, mut arrays: Vec<ArrayRef>, rows: usize) -> Result<ColumnarValue> {
        for parameter in &self.parameters[arrays.len().min(self.parameters.len())..] {
            let Some(Expr::Literal(default, _)) = &parameter.default else {
                return plan_err!("{} needs its argument {}", self.name, parameter.name);
            };
            arrays.push(default.to_array_of_size(rows)?);
        }
        let schema = Arc::new(self.parameter_schema()?.as_arrow().clone());
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options)?;
        self.compiled.evaluate(&batch)
    }

    /// The arguments of a call, followed by the defaults of omitted ones.
    fn with_defaults(&self, mut arguments: Vec<Expr>) -> Result<Vec<Expr>> {
        for parameter in &self.parameters[arguments.len().min(self.parameters.len())..] {
            match &parameter.default {
                Some(default) => arguments.push(default.clone()),
                None => return plan_err!("{} needs its argument {}", self.name, parameter.name),
            }
        }
        Ok(arguments)
    }
}

/// The documentation for `SHOW FUNCTIONS`.
fn documentation(name: &str, parameters: &[Parameter], body: &Expr) -> Documentation {
    let names: Vec<_> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    let section = DocSection { include: true, label: "User-defined functions", description: None };
    let documentation =
        Documentation::builder(section, body.to_string(), format!("{name}({})", names.join(", ")));
    parameters
        .iter()
        .fold(documentation, |documentation, parameter| {
            let default = parameter.default.as_ref().map(|default| format!(", by default {default}"));
            let what = format!("{}{}", parameter.data_type, default.unwrap_or_default());
            documentation.with_argument(&parameter.name, what)
        })
        .build()
}

/// The highest volatility of the functions that expressions call.
fn volatility<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> Volatility {
    let mut highest = Volatility::Immutable;
    for expression in expressions {
        // The visitor does not fail.
        let _ = expression.apply(|part| {
            if let Expr::ScalarFunction(call) = part {
                highest = match (highest, call.func.signature().volatility) {
                    (Volatility::Volatile, _) | (_, Volatility::Volatile) => Volatility::Volatile,
                    (Volatility::Stable, _) | (_, Volatility::Stable) => Volatility::Stable,
                    _ => Volatility::Immutable,
                };
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }
    highest
}

/// The types of the arguments, and their names if all have one and they differ not only in case: DataFusion looks for unquoted
/// names without regard to case. Calls may omit trailing arguments whose parameters have a default.
fn signature(parameters: &[Parameter], volatility: Volatility) -> Signature {
    let required = parameters.iter().take_while(|parameter| parameter.default.is_none()).count();
    let of_length = |count: usize| match count {
        0 => TypeSignature::Nullary,
        _ => TypeSignature::Exact(
            parameters[..count].iter().map(|parameter| parameter.data_type.clone()).collect(),
        ),
    };
    let mut signature = match required == parameters.len() {
        true => Signature::new(of_length(required), volatility),
        false => Signature::one_of((required..=parameters.len()).rev().map(of_length).collect(), volatility),
    };
    let names: HashSet<_> = parameters.iter().map(|parameter| parameter.name.to_ascii_lowercase()).collect();
    if !parameters.is_empty()
        && names.len() == parameters.len()
        && parameters.iter().all(|parameter| !parameter.name.starts_with('$'))
    {
        // Set directly, because `with_parameter_names` rejects signatures with several numbers of arguments.
        signature.parameter_names = Some(parameters.iter().map(|parameter| parameter.name.clone()).collect());
    }
    signature
}

/// The schema of the body: a column for each parameter.
fn schema_of(parameters: &[Parameter], nullable: impl Fn(usize) -> bool) -> Result<DFSchema> {
    let fields = parameters
        .iter()
        .enumerate()
        .map(|(position, parameter)| {
            Field::new(&parameter.name, parameter.data_type.clone(), nullable(position))
        })
        .collect::<Vec<_>>();
    DFSchema::try_from(Schema::new(fields))
}

fn check_parameters(name: &str, parameters: &[Parameter]) -> Result<()> {
    for (position, parameter) in parameters.iter().enumerate() {
        let before = &parameters[..position];
        if before.iter().any(|other| other.name == parameter.name) {
            return plan_err!(
                "cannot create the function {name}: two parameters are named {}",
                parameter.name
            );
        }
        if parameter.default.is_none()
            && let Some(optional) = before.iter().find(|other| other.default.is_some())
        {
            return plan_err!(
                "cannot create the function {name}: the parameter {} has no default and follows {}, which has one",
                parameter.name,
                optional.name
            );
        }
    }
    Ok(())
}

fn cast_checked(name: &str, what: &str, expr: Expr, from: &DataType, to: &DataType) -> Result<Expr> {
    if from == to {
        return Ok(expr);
    }
    if !can_cast_types(from, to) {
        return plan_err!("cannot create the function {name}: {what} is {from}, which cannot be {to}");
    }
    Ok(cast(expr, to.clone()))
}

fn check_scalar(name: &str, body: &Expr) -> Result<()> {
    body.apply(|expr| {
        let what = match expr {
            Expr::AggregateFunction(_) => "an aggregate function",
            Expr::WindowFunction(_) => "a window function",
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
                "a subquery"
            }
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        plan_err!("cannot create the function {name}: its body has {what}; it works on one row")
    })?;
    Ok(())
}

impl PartialEq for SqlFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.parameters == other.parameters && self.body == other.body
    }
}

impl Eq for SqlFunction {}

impl Hash for SqlFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.parameters, &self.body).hash(state);
    }
}

impl ScalarUDFImpl for SqlFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.return_type.clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let fields = arguments.arg_fields;
        let schema = schema_of(&self.parameters, |position| {
            fields.get(position).is_none_or(|field| field.is_nullable())
        })?;
        Ok(Arc::new(Field::new(&self.name, self.return_type.clone(), self.body.nullable(&schema)?)))
    }

    fn simplify(&self, arguments: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let arguments = self.with_defaults(arguments)?;
        // The body may use a parameter several times, and a volatile argument must be evaluated once.
        if arguments.iter().any(Expr::is_volatile) {
            return Ok(ExprSimplifyResult::Original(arguments));
        }
        let inlined = self.body.clone().transform(|expr| {
            let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
            match self.parameters.iter().position(|parameter| parameter.name == column.name) {
                // Not descended into: the argument may have columns with the names of parameters.
                Some(position) => {
                    Ok(Transformed::new(arguments[position].clone(), true, TreeNodeRecursion::Jump))
                }
                None => Ok(Transformed::no(expr)),
            }
        })?;
        Ok(ExprSimplifyResult::Simplified(inlined.data))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.signature.volatility == Volatility::Volatile {
            // Each row has a value of its own, also with constant arguments.
            let rows = arguments.number_rows;
            let arrays = arguments.args.into_iter().map(|value| value.into_array(rows));
            let arrays = arrays.collect::<Result<Vec<_>>>()?;
            return self.evaluate(arrays, rows);
        }
        evaluate_arrays(arguments, |arrays, rows| self.evaluate(arrays, rows))
    }
}
