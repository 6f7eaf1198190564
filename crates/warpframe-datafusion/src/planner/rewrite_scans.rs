//! The rewriting of file scans, for physical rules.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;

/// Replaces the configuration of each file scan of a plan for which `rewrite` returns a new one.
///
/// # Errors
/// Those of `rewrite`.
pub fn rewrite_scans(
    plan: Arc<dyn ExecutionPlan>,
    rewrite: impl Fn(&FileScanConfig) -> Result<Option<FileScanConfig>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|node| {
        let source = node.downcast_ref::<DataSourceExec>().map(|scan| scan.data_source().as_ref());
        let scan = source.and_then(|source| (source as &dyn std::any::Any).downcast_ref());
        Ok(match scan.map(&rewrite).transpose()?.flatten() {
            Some(scan) => Transformed::yes(DataSourceExec::from_data_source(scan) as _),
            None => Transformed::no(node),
        })
    })?;
    Ok(plan.data)
}
