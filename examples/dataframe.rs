//! A lazy DataFrame query whose result is streamed: `cargo run --release --example dataframe`

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use datafusion::prelude::{col, lit};
use futures::StreamExt;
use warpframe::{Session, log3};

#[tokio::main]
async fn main() -> datafusion::error::Result<()> {
    let session = Session::new()?;
    let rows = session.context().table("rows").await?;
    let query = rows
        .filter(col("x").gt(lit(9_000_000)))?
        .select(vec![col("id"), log3(col("x"), col("y"), col("z")).alias("r")])?;

    // Nothing is computed before this point. Batches are computed one at a time and not collected.
    let mut stream = query.execute_stream().await?;
    let (mut rows, mut sum) = (0, 0.0);
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        rows += batch.num_rows();
        sum += batch.column(1).as_primitive::<Float64Type>().values().iter().sum::<f64>();
    }
    println!("{rows} rows, sum {sum:.3}");
    Ok(())
}
