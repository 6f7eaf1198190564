//! The formats of files that executors can read.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;

/// For the type of a scan that has no encoding for executors, the name of the format.
const NOT_SENT: [(&str, &str); 2] = [("avro", "Avro"), ("arrow_stream", "the Arrow IPC stream format")];

/// Checks that executors can be told of every scan of files in a plan.
///
/// # Errors
/// A scan reads a format that has no encoding.
pub(super) fn check_scan_formats(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    plan.apply(|node| {
        let scan = node.downcast_ref::<DataSourceExec>();
        let files = scan.and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>());
        let found = files.and_then(|files| {
            let file_type = files.file_source().file_type();
            NOT_SENT.iter().find(|(name, _)| *name == file_type)
        });
        match found {
            Some((_, format)) => plan_err!(
                "a cluster does not read {format}: run the query without a cluster, or make Parquet or Arrow files of it"
            ),
            None => Ok(TreeNodeRecursion::Continue),
        }
    })?;
    Ok(())
}
