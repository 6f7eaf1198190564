//! Queries over rows in memory, in a session with the settings of a mode, on a runtime with its threads.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::physical_plan::collect_partitioned;
use tokio::runtime::Runtime;

use super::measure::timed;
use super::mode::Mode;
use super::output_files::result_column;
use super::verify::Answer;
use crate::batch::plan_in_order;
use crate::session::{Session, SessionBuilder};
use warpframe_cluster::{COMPUTE_TIME, GATHER_TIME};
use warpframe_datafusion::backend_names::{CUDA, INTERPRETED, NATIVE};
use warpframe_datafusion::runtime_builder;

/// The compute time and the gather time of a run on a cluster.
pub type ClusterTimes = (Duration, Duration);

/// A tokio runtime with the threads of a mode.
pub fn runtime(threads: NonZeroUsize) -> Result<Runtime> {
    runtime_builder(threads).build().map_err(|error| DataFusionError::External(error.into()))
}

/// The settings of a mode that evaluates SQL in this process.
pub fn session_builder(mode: Mode, threads: NonZeroUsize) -> SessionBuilder {
    let backend = match mode {
        Mode::Interpreted => INTERPRETED,
        Mode::Cuda => CUDA,
        _ => NATIVE,
    };
    Session::builder().threads(threads).backend(backend).fuse(mode != Mode::Columnar)
}

/// A session whose table `rows` is this table.
pub fn session(builder: SessionBuilder, table: Arc<dyn TableProvider>) -> Result<Session> {
    let session = builder.build()?;
    session.context().deregister_table("rows")?;
    session.context().register_table("rows", table)?;
    Ok(session)
}

/// The rows as a table with one partition per thread. The engine slices them into batches without copying.
pub fn memory_table(rows: &RecordBatch, threads: NonZeroUsize) -> Result<Arc<dyn TableProvider>> {
    let share = rows.num_rows().div_ceil(threads.get()).max(1);
    let partitions = (0..rows.num_rows())
        .step_by(share)
        .map(|start| vec![rows.slice(start, share.min(rows.num_rows() - start))])
        .collect();
    Ok(Arc::new(MemTable::try_new(rows.schema(), partitions)?))
}

/// Runs a query with one column, to arrays in memory in the order of its input rows, and on a cluster also returns the parts of
/// the time.
pub fn run_to_arrays(
    runtime: &Runtime,
    session: &Session,
    query: &str,
) -> Result<((Duration, Answer), Option<ClusterTimes>)> {
    let (time, (batches, parts)) =
        timed(|| runtime.block_on(async { collect(session.sql(query).await?).await }))?;
    Ok(((time, Answer::Rows(result_column(batches)?)), parts))
}

/// Runs a query with one row and one column, a sum, and on a cluster also returns the parts of the time.
pub fn run_to_sum(
    runtime: &Runtime,
    session: &Session,
    query: &str,
) -> Result<((Duration, Answer), Option<ClusterTimes>)> {
    let (time, (batches, parts)) =
        timed(|| runtime.block_on(async { collect(session.sql(query).await?).await }))?;
    match result_column(batches)?.first() {
        Some(array) if array.len() == 1 => Ok(((time, Answer::Sum(array.value(0))), parts)),
        _ => exec_err!("wrong answer: the sum is not one number"),
    }
}

/// Collects all batches of a query in the order of its input rows, and on a cluster the times of the run.
pub async fn collect(query: DataFrame) -> Result<(Vec<RecordBatch>, Option<ClusterTimes>)> {
    let (plan, context) = plan_in_order(query).await?;
    let batches = collect_partitioned(Arc::clone(&plan), context).await?.into_iter().flatten().collect();
    let spent = |name: &str| {
        let nanoseconds = plan.metrics()?.sum_by_name(name)?.as_usize();
        Some(Duration::from_nanos(nanoseconds as u64))
    };
    Ok((batches, spent(COMPUTE_TIME).zip(spent(GATHER_TIME))))
}
