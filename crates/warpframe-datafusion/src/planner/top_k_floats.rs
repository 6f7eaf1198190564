//! The physical rule against DataFusion's limited aggregation of floating-point values.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// Removes the order of the limit from aggregations that group by, or whose result is, a floating-point value:
///
/// ```text
/// AggregateExec: mode=Single, gby=[x@0 as x], aggr=[], lim=[2] ASC
/// AggregateExec: mode=Single, gby=[x@0 as x], aggr=[]
/// ```
///
/// Such an aggregation keeps the first groups of the order only, in a heap that compares floating-point values by `<` and `>`,
/// and finds groups by `==`: NaN, which is neither, panics or displaces groups that belong to the result. The sort above the
/// aggregation has the limit as well.
#[derive(Debug, Default)]
pub struct TopKFloats;

impl PhysicalOptimizerRule for TopKFloats {
    fn name(&self) -> &str {
        "top_k_floats"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| {
            let aggregate = node.downcast_ref::<AggregateExec>().filter(|aggregate| {
                let ordered = aggregate.limit_options().is_some_and(|limit| limit.descending.is_some());
                ordered && aggregate.schema().fields().iter().any(|field| field.data_type().is_floating())
            });
            Ok(match aggregate {
                Some(aggregate) => Transformed::yes(Arc::new(aggregate.with_new_limit_options(None)) as _),
                None => Transformed::no(node),
            })
        })?;
        Ok(plan.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}
