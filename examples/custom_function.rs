//! A function of one's own that is composed of ops: it runs on every backend, and fuses with the expressions around it.

use datafusion::error::Result;
use datafusion::logical_expr::ScalarUDF;
use warpframe::Session;
use warpframe::functions::ProgramFunction;
use warpframe::ir::{Binary, Builder, Unary, Value};

/// `logistic(x) = 1 / (1 + exp(-x))`
fn logistic(builder: &mut Builder, arguments: &[Value]) -> Value {
    let one = builder.const_float(builder.scalar_type(arguments[0]), 1.0);
    let opposite = builder.unary(Unary::Negate, arguments[0]);
    let power = builder.unary(Unary::Exp, opposite);
    let denominator = builder.binary(Binary::Add, one, power);
    builder.binary(Binary::Divide, one, denominator)
}

#[tokio::main]
async fn main() -> Result<()> {
    let session = Session::new()?;
    session.context().register_udf(ScalarUDF::from(ProgramFunction::new("logistic", &["x"], logistic)));

    // Alone it is shown by its name, inside of an expression it is a part of one program.
    for query in ["SELECT logistic(x) FROM rows LIMIT 3", "SELECT 2 * logistic(x / 4) - 1 FROM rows LIMIT 3"]
    {
        session.sql(&format!("EXPLAIN FORMAT INDENT {query}")).await?.show().await?;
        session.sql(query).await?.show().await?;
    }
    Ok(())
}
