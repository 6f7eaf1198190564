//! A query on a cluster, which this program starts: `cargo run --release --example cluster`

use std::num::NonZeroUsize;

use warpframe::Session;
use warpframe::cluster::LocalCluster;
use warpframe::datafusion::error::Result;

#[tokio::main]
async fn main() -> Result<()> {
    // A scheduler and an executor with two slots in this process. `ClusterSettings::new("HOST:PORT".parse()?)` are the settings of
    // a cluster that runs elsewhere.
    let slots = NonZeroUsize::MIN.saturating_add(1);
    let cluster = LocalCluster::start_in_process(slots).await?;
    let session = Session::builder().cluster(cluster.settings()).build()?;

    // Functions are sent with the queries that call them.
    session.sql("CREATE FUNCTION dist(a DOUBLE, b DOUBLE) RETURNS DOUBLE RETURN sqrt(a * a + b * b)").await?;
    let query = "SELECT id % 3 AS k, count(*) AS rows, sum(dist(x, y)) AS s FROM generate_rows(1000000) GROUP BY k ORDER BY k";
    session.sql(query).await?.show().await
}
