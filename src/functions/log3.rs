//! `log3(x, y, z) = ln(x) * ln(y) * ln(z)` as a DataFusion scalar function: signature, types, nulls and
//! documentation. The arithmetic is the backends'.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use super::fused::evaluate;
use crate::backend::Backend;
use crate::program::{self, Precision};

const NAME: &str = "log3";
const PARAMETERS: [&str; 3] = ["x", "y", "z"];

/// The scalar function `log3`.
///
/// Float32 out where all arguments are Float32; all other numbers are coerced to Float64. Null where any
/// argument is null.
#[derive(Debug)]
pub struct Log3 {
    signature: Signature,
    /// The backend a query's plan was made for. Without one, the session's option decides at the call.
    bound: Option<Bound>,
}

#[derive(Debug)]
struct Bound {
    backend: Arc<dyn Backend>,
    /// The function's name in plans: its own, and the backend's.
    name: String,
}

impl Log3 {
    fn new(bound: Option<Bound>) -> Self {
        let parameter_names = PARAMETERS.map(str::to_owned).to_vec();
        let mut signature = Signature::user_defined(Volatility::Immutable);
        signature.parameter_names = Some(parameter_names);
        Self { signature, bound }
    }

    /// The same function, evaluated by `backend` whatever the session's option says, and shown with it
    /// in plans.
    pub fn bound_to(&self, backend: Arc<dyn Backend>) -> Self {
        let name = format!("{NAME}[{}]", backend.description());
        Self::new(Some(Bound { backend, name }))
    }

    /// The backend it was [bound](Self::bound_to) to.
    pub fn backend(&self) -> Option<&Arc<dyn Backend>> {
        Some(&self.bound.as_ref()?.backend)
    }
}

impl PartialEq for Log3 {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Log3 {}

impl Hash for Log3 {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Log3 {
    fn name(&self) -> &str {
        self.bound.as_ref().map_or(NAME, |bound| &bound.name)
    }

    // The column's name in results, the same whichever backend computes it.
    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.schema_name().to_string()).collect();
        Ok(format!("{NAME}({})", arguments.join(",")))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if types.len() != PARAMETERS.len() {
            return plan_err!("log3 takes 3 arguments (x, y, z), not {}", types.len());
        }
        for (parameter, data_type) in PARAMETERS.into_iter().zip(types) {
            if !data_type.is_numeric() && !data_type.is_null() {
                return plan_err!(
                    "log3 takes numbers, but its argument {parameter} is {data_type}: CAST it first"
                );
            }
        }
        let common = if types.iter().all(|data_type| *data_type == DataType::Float32) {
            DataType::Float32
        } else {
            DataType::Float64
        };
        Ok(vec![common; PARAMETERS.len()])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [first, ..] => Ok(first.clone()),
            [] => internal_err!("log3 was planned without arguments"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<_> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = arguments.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(NAME, self.return_type(&types)?, nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    // The default is an interval of type Null, which range analysis cannot combine with numbers.
    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        let data_type = inputs.first().map_or(DataType::Float64, |input| input.data_type());
        Interval::make_unbounded(&data_type)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let precision = match arguments.return_field.data_type() {
            DataType::Float32 => Precision::Single,
            _ => Precision::Double,
        };
        evaluate(self.backend(), program::log3(precision), arguments)
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            Documentation::builder(
                DocSection { include: true, label: "Math Functions", description: None },
                "Returns the product of the natural logarithms of three numbers, ln(x) * ln(y) * ln(z), \
                 within 4 ULP. Zero gives -Infinity and a negative number NaN as its logarithm. Float32 \
                 if all arguments are Float32, else Float64; NULL if any argument is NULL.",
                "log3(x, y, z)",
            )
            .with_argument("x", "A number, or a column or expression of numbers.")
            .with_argument("y", "The same.")
            .with_argument("z", "The same.")
            .with_sql_example("```sql\n> SELECT log3(1, 2, 3), log3(x => 2.0, y => 2.0, z => 2.0);\n```")
            .build()
        });
        Some(&DOCUMENTATION)
    }
}

/// The function `log3` as sessions register it.
pub fn log3_udf() -> Arc<ScalarUDF> {
    static LOG3: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(Log3::new(None))));
    Arc::clone(&LOG3)
}

/// The expression `log3(x, y, z) = ln(x) * ln(y) * ln(z)`.
///
/// ```
/// use datafusion::prelude::col;
/// let expression = warpframe::log3(col("x"), col("y"), col("z"));
/// assert_eq!(expression.to_string(), "log3(x, y, z)");
/// ```
pub fn log3(x: Expr, y: Expr, z: Expr) -> Expr {
    log3_udf().call(vec![x, y, z])
}
