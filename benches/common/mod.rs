//! What benches have in common.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use warpframe::{Session, SessionBuilder};

/// A session whose table `t` has these rows in memory, in as many partitions as there are threads.
#[allow(dead_code, reason = "not all benches have one")]
pub fn session(builder: SessionBuilder, batch: &RecordBatch, threads: usize) -> Session {
    let rows = batch.num_rows();
    let size = rows.div_ceil(threads).max(1);
    let partitions = (0..rows).step_by(size).map(|start| vec![batch.slice(start, size.min(rows - start))]);
    let table = MemTable::try_new(batch.schema(), partitions.collect()).unwrap();
    let session = builder.build().unwrap();
    session.context().register_table("t", Arc::new(table)).unwrap();
    session
}

/// The median of times.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
