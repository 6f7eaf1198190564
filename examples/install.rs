//! warpframe in a DataFusion application of one's own: a plain `SessionContext` with fused expressions.

use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::SessionContext;

#[tokio::main]
async fn main() -> Result<()> {
    let builder = SessionStateBuilder::new().with_default_features();
    let context = SessionContext::new_with_state(warpframe::install(builder).build());

    context.sql("CREATE FUNCTION softplus(DOUBLE) RETURNS DOUBLE RETURN ln(1 + exp($1))").await?;
    let query = "SELECT sum(softplus(ln(x) / 10)) AS s FROM generate_rows(1000000)";
    // The plan shows the fused function with its backend.
    context.sql(&format!("EXPLAIN FORMAT INDENT {query}")).await?.show().await?;
    context.sql(query).await?.show().await
}
