//! The compilation of chains of operators to fused passes.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_plan::ExecutionPlan;

use super::kernel_use::decodes_rows;
use super::operator_chain::OperatorChain;
use crate::backends::Backends;
use crate::operators::{FusedPass, FusedRows, NotFused, Replaced};
use warpframe_ir::backend::KernelUse;

/// A fused operator, or the reason why there is none.
pub(super) type Fused<T> = std::result::Result<T, NotFused>;

/// What is done with the rows of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// They are the rows of the result.
    Rows,
    /// They are reduced.
    Reductions,
}

/// What fused operators are compiled with.
pub(super) struct FusedOperators<'a> {
    pub backends: &'a Backends,
    pub config: &'a ConfigOptions,
}

impl FusedOperators<'_> {
    /// The pass that replaces a filter or a projection and those below it, with the largest number of rows in each partition.
    /// `added` of the operators are not part of the plan.
    pub fn fuse(
        &self,
        node: &Arc<dyn ExecutionPlan>,
        added: usize,
        purpose: Purpose,
    ) -> Result<Fused<(FusedPass, Option<usize>)>> {
        let Some(chain) = OperatorChain::of(node)? else { return Ok(Err(NotFused::OtherOperator)) };
        let OperatorChain { input, predicate, expressions, fetch, operators } = chain;
        let usage =
            KernelUse { reduces: purpose == Purpose::Reductions, decodes: decodes_rows(input.as_ref()) };
        let rows = FusedRows::compile(
            &input.schema(),
            predicate.as_ref(),
            &expressions,
            node.schema(),
            self.backends,
            self.config,
            usage,
        );
        Ok(rows.map(|rows| {
            let replaced = Replaced { plan: Arc::clone(node), operators: operators - added };
            let (rows, kernel_metrics) = (Arc::new(rows), Arc::default());
            (FusedPass { replaced, input, predicate, expressions, rows, kernel_metrics }, fetch)
        }))
    }
}
