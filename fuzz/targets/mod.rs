//! What the fuzz targets do with an input, as the stable test `tests/fuzz.rs` does too.

use std::path::Path;

use datafusion::prelude::SessionContext;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::StreamExt;
use warpframe::Session;
use warpframe::cluster::ClusterCodec;

/// The names of the targets.
pub const NAMES: [&str; 3] = ["parquet_file", "arrow_file", "plan"];

/// Gives an input to a target. It may be refused with an error, but nothing else may happen.
pub fn run(name: &str, input: &[u8]) {
    match name {
        "parquet_file" => read_file(input, "f.parquet"),
        "arrow_file" => read_file(input, "f.arrow"),
        "plan" => decode_plan(input),
        other => unreachable!("there is no target '{other}'"),
    }
}

/// Opens a file as a table and reads all rows.
fn read_file(input: &[u8], name: &str) {
    let folder = warpframe::private_folder("warpframe-fuzz-").expect("a temporary folder");
    let file = folder.path().join(name);
    std::fs::write(&file, input).expect("a file in a temporary folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let _ = read_rows(&file).await;
    });
}

async fn read_rows(file: &Path) -> datafusion::common::Result<usize> {
    let session = Session::builder().memory_limit(256 << 20).build()?;
    session.register_files("t", &file.to_string_lossy()).await?;
    let mut rows = 0;
    for query in ["SELECT * FROM t", "SELECT count(*) FROM t"] {
        let mut batches = session.sql(query).await?.execute_stream().await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            // Looks at all values, as a table on a terminal does.
            rows += arrow::util::pretty::pretty_format_batches(&[batch.slice(0, batch.num_rows().min(100))])?
                .to_string()
                .len();
        }
    }
    Ok(rows)
}

/// Decodes a plan as an executor does.
fn decode_plan(input: &[u8]) {
    let context = SessionContext::new().task_ctx();
    let Ok(plan) = PhysicalPlanNode::try_decode(input) else { return };
    let _ = plan.try_into_physical_plan(&context, &ClusterCodec::default());
}
