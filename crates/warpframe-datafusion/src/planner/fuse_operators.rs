//! The physical rule that fuses filters, projections and the arguments of aggregates.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

use super::fuse_aggregate::fuse_aggregate;
use super::fused_operators::{FusedOperators, Purpose};
use crate::backends::Backends;
use crate::operators::FusedExec;
use crate::options::WarpframeOptions;

/// Replaces filters and projections by one operator that evaluates them in one pass:
///
/// ```text
/// ProjectionExec: expr=[sqrt(x * x + 1) * sin(x), sqrt(x * x + 1) * cos(x)]
///   FilterExec: sin(x) > 0
///
/// FusedExec: backend=simd avx512, predicate=sin(x) > 0, expr=[sqrt(x * x + 1) * sin(x), sqrt(x * x + 1) * cos(x)]
/// ```
///
/// The first stage of an aggregation without groups is part of the pass, if its aggregates are reductions:
///
/// ```text
/// AggregateExec: mode=Partial, gby=[], aggr=[sum(ln(x) * y)]
///   FilterExec: ln(x) > 1
///
/// FusedAggregateExec: backend=simd avx512, predicate=ln(x) > 1, aggr=[sum(ln(x) * y)]
/// ```
///
/// With groups, it takes its arguments, conditions and groups from the pass:
///
/// ```text
/// AggregateExec: mode=Partial, gby=[k], aggr=[sum(ln(x) * y)]
///   FilterExec: ln(x) > 1
///
/// AggregateExec: mode=Partial, gby=[k], aggr=[sum(ln(x) * y)]
///   FusedExec: backend=simd avx512, predicate=ln(x) > 1, expr=[k, ln(x) * y]
/// ```
///
/// Operators are replaced if all their expressions have a program, and if one pass is faster: if expressions behind a filter
/// are worth a pass of their own, or if several share operations. The rule runs last, so that DataFusion's own rules see its
/// own operators.
#[derive(Debug)]
pub struct FuseOperators {
    backends: Arc<Backends>,
}

impl FuseOperators {
    /// The rule with a registry of backends.
    pub fn new(backends: Arc<Backends>) -> Self {
        Self { backends }
    }
}

impl PhysicalOptimizerRule for FuseOperators {
    fn name(&self) -> &str {
        "fuse_operators"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !WarpframeOptions::of(config).fuse {
            return Ok(plan);
        }
        let operators = FusedOperators { backends: &self.backends, config };
        let fused = plan.transform_down(|node| {
            let fused = match node.downcast_ref::<AggregateExec>() {
                Some(aggregate) => fuse_aggregate(aggregate, &operators)?.and_then(Result::ok),
                None => operators
                    .fuse(&node, 0, Purpose::Rows)?
                    .ok()
                    .map(|(pass, fetch)| Arc::new(FusedExec::new(pass, fetch)) as Arc<dyn ExecutionPlan>),
            };
            Ok(match fused {
                Some(fused) => Transformed::yes(fused),
                None => Transformed::no(node),
            })
        });
        fused.data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}
