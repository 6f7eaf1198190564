//! Plans whose rows are in the order of the tables that they read.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::dataframe::DataFrame;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, stream};
use warpframe_cluster::as_cluster_exec;
use warpframe_datafusion::options::WarpframeOptions;

/// The batches that a partition computes ahead while rows of an earlier one are read.
const BATCHES_AHEAD: usize = 16;

/// Plans a query so that its partitions, one after the other, have the rows in the order of its tables, unless
/// the query itself reorders them.
///
/// # Errors
/// The query has no physical plan.
pub async fn plan_in_order(query: DataFrame) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
    let (mut state, query) = query.into_parts();
    // Round-robin repartitioning would distribute the batches of a partition to all partitions.
    let options = state.config_mut().options_mut();
    options.optimizer.enable_round_robin_repartition = false;
    // A sort-merge join sorts its inputs; a hash join keeps the order of one.
    if let Some(warpframe) = options.extensions.get_mut::<WarpframeOptions>() {
        warpframe.spill_joins = false;
    }
    let mut plan = state.create_physical_plan(&query).await?;
    // A join distributes rows by hash, or merges the partitions of one of its inputs as they come. Subqueries in conditions
    // are joins.
    if plan.exists(|part| Ok(part.name().contains("Join")))? {
        state.config_mut().options_mut().execution.target_partitions = 1;
        plan = state.create_physical_plan(&query).await?;
    }
    // Otherwise a file scan moves files from busy partitions to idle ones.
    let in_order = |plan: Arc<dyn ExecutionPlan>| plan.with_preserve_order(true).unwrap_or(plan);
    let plan = match as_cluster_exec(&plan) {
        Some(cluster) => Arc::new(cluster.with_plan(in_order(Arc::clone(cluster.plan())))),
        None => in_order(plan),
    };
    Ok((plan, state.task_ctx()))
}

/// The rows of all partitions, one after the other. They are computed at the same time, but not far ahead of what is read.
///
/// # Errors
/// The plan cannot be executed.
pub fn execute_in_order(
    plan: &Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let partitions = plan.output_partitioning().partition_count();
    if partitions == 1 {
        return plan.execute(0, Arc::clone(context));
    }
    let ahead = |partition| {
        let mut rows = RecordBatchReceiverStream::builder(plan.schema(), BATCHES_AHEAD);
        let (plan, context, sender) = (Arc::clone(plan), Arc::clone(context), rows.tx());
        rows.spawn(async move {
            let mut batches = plan.execute(partition, context)?;
            while let Some(batch) = batches.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        rows.build()
    };
    let all: Vec<_> = (0..partitions).map(ahead).collect();
    Ok(Box::pin(RecordBatchStreamAdapter::new(plan.schema(), stream::iter(all).flatten())))
}
