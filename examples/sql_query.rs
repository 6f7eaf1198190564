//! SQL over generated rows: `cargo run --release --example sql_query`

use arrow::util::pretty::print_batches;
use warpframe::Session;

#[tokio::main]
async fn main() -> datafusion::error::Result<()> {
    let session = Session::new()?;
    let query = "SELECT id, log3(x, y, z) AS r FROM generate_rows(1000000, 'uniform', 1) \
                 WHERE log3(x, y, z) > 2600 ORDER BY r DESC LIMIT 5";
    print_batches(&session.sql(query).await?.collect().await?)?;
    Ok(())
}
