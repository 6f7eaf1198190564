//! Functions that are made of expressions, in Rust and in SQL: `cargo run --release --example create_function`

use warpframe::Session;
use warpframe::arrow::datatypes::DataType;
use warpframe::datafusion::error::Result;
use warpframe::datafusion::functions::expr_fn::{exp, sqrt};
use warpframe::datafusion::prelude::{cast, col, lit};
use warpframe::functions::Parameter;

#[tokio::main]
async fn main() -> Result<()> {
    let session = Session::new()?;

    // A name alone is a parameter of type DOUBLE. The function is returned for DataFrames.
    let dist =
        session.create_function("dist", ["a", "b"], sqrt(col("a") * col("a") + col("b") * col("b")))?;
    let rows = session.context().table("rows").await?.limit(0, Some(3))?;
    rows.select(vec![col("id"), dist.call(vec![col("x"), col("y")]).alias("d")])?.show().await?;

    // Parameters have types and defaults, which are expressions without columns. The cast gives the return type.
    let rate = Parameter::new("rate", DataType::Float64).with_default(lit(0.5));
    let days = Parameter::new("days", DataType::Int64).with_default(lit(1));
    let body = cast(col("amount") * exp(-col("rate") * col("days")), DataType::Float32);
    session.create_function("decayed", [Parameter::from("amount"), rate, days], body)?;
    session
        .sql("SELECT decayed(8), decayed(8, 0.25), decayed(8, days => 2, rate => 0.25)")
        .await?
        .show()
        .await?;

    // The same in SQL. Functions of both kinds fuse with the expressions around their calls.
    let create =
        "CREATE FUNCTION ratio(a DOUBLE, b DOUBLE DEFAULT 2) RETURNS DOUBLE RETURN dist(a, b) / (a + b)";
    session.sql(create).await?;
    session.sql("EXPLAIN FORMAT INDENT SELECT 1 - ratio(x) AS r FROM rows").await?.show().await?;
    session.sql("SELECT 1 - ratio(x) AS r FROM rows LIMIT 3").await?.show().await
}
