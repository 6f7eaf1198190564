//! The reference function `log3(x, y, z) = ln(x) * ln(y) * ln(z)`.

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::{DocSection, Documentation, Expr, ScalarUDF};

use super::program_function::ProgramFunction;
use warpframe_ir::ScalarType;
use warpframe_ir::builder::Builder;
use warpframe_ir::instruction::Value;
use warpframe_ir::ops::{Binary, Unary};

/// The scalar function `log3`, within 4 ULP.
///
/// The result is Float32 if all arguments are Float32; otherwise arguments are coerced to Float64. It is null if any
/// argument is null.
pub fn log3_function() -> ProgramFunction {
    let documentation = Documentation::builder(
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
    .build();
    ProgramFunction::new("log3", &["x", "y", "z"], body).with_documentation(documentation)
}

fn body(builder: &mut Builder, arguments: &[Value]) -> Value {
    let logarithms: Vec<_> = arguments.iter().map(|x| builder.unary(Unary::Ln, *x)).collect();
    let product =
        logarithms.into_iter().reduce(|product, next| builder.binary(Binary::Multiply, product, next));
    product.unwrap_or_else(|| builder.const_float(ScalarType::F64, 1.0))
}

/// The `ScalarUDF` of `log3` that sessions register.
pub fn log3_udf() -> Arc<ScalarUDF> {
    static LOG3: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::from(log3_function())));
    Arc::clone(&LOG3)
}

/// The expression `log3(x, y, z) = ln(x) * ln(y) * ln(z)`.
///
/// ```
/// use datafusion::prelude::col;
/// let expression = warpframe_datafusion::functions::log3(col("x"), col("y"), col("z"));
/// assert_eq!(expression.to_string(), "log3(x, y, z)");
/// ```
pub fn log3(x: Expr, y: Expr, z: Expr) -> Expr {
    log3_udf().call(vec![x, y, z])
}
