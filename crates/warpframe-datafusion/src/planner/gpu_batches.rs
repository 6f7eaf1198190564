//! The physical rule that adds operators which make batches for GPUs.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::Boundedness;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

use super::fused_functions::{as_fused, for_each_own_function};
use super::kernel_use::{for_decoded_rows, streamed_leaf};
use crate::operators::{GpuBatchExec, GpuKernels, fused_pass};
use crate::options::WarpframeOptions;

/// Adds a `GpuBatchExec` below every operator with kernels on GPUs:
///
/// ```text
/// SortExec: expr=[r]
///   ProjectionExec: expr=[log3[cuda NVIDIA H200](x, y, z) as r]
///     DataSourceExec
///
/// SortExec: expr=[r]
///   ProjectionExec: expr=[log3[cuda NVIDIA H200](x, y, z) as r]
///     GpuBatchExec: batch_rows=1048576
///       DataSourceExec
/// ```
///
/// Operators without or with several inputs, such as joins, evaluate functions on the batches that they make. Their
/// `GpuBatchExec` is above them and makes no batches.
#[derive(Debug, Default)]
pub struct GpuBatches;

impl PhysicalOptimizerRule for GpuBatches {
    fn name(&self) -> &str {
        "gpu_batches"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch_rows = WarpframeOptions::of(config).cuda_batch_rows;
        let with_batches = plan.transform_up(|node| {
            let Transformed { data: node, transformed, .. } = for_decoded_rows(node)?;
            let Some(found) = FoundKernels::of(node.as_ref())? else {
                return Ok(Transformed::new_transformed(node, transformed));
            };
            let batch_rows = batch_rows.max(found.least_rows);
            let child = match node.children()[..] {
                [child] if child.properties().boundedness == Boundedness::Bounded => Some(Arc::clone(child)),
                _ => None,
            };
            Ok(Transformed::yes(match child {
                Some(child) => {
                    let streams = streamed_leaf(child.as_ref()).is_some();
                    let below = GpuBatchExec::making_batches(child, batch_rows, streams, found.kernels);
                    replace_children_if_necessary(node, vec![Arc::new(below)])?
                }
                None => Arc::new(GpuBatchExec::reporting(node, found.kernels)),
            }))
        });
        with_batches.data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The kernels of an operator that use GPUs.
struct FoundKernels {
    kernels: GpuKernels,
    /// The largest of the numbers of rows from which they do.
    least_rows: usize,
}

impl FoundKernels {
    /// The kernels of an operator; `None` if none uses a GPU.
    fn of(operator: &dyn ExecutionPlan) -> Result<Option<Self>> {
        let (mut kernels, mut least_rows) = (GpuKernels::default(), None);
        if let Some(pass) = fused_pass(operator) {
            // The functions in its expressions are part of the pass.
            least_rows = pass.rows.kernels().filter_map(|kernel| kernel.device_batch_rows()).max();
            kernels.metrics.push(Arc::clone(&pass.kernel_metrics));
        } else {
            for_each_own_function(operator, |function: &ScalarUDF| {
                let Some(fused) = as_fused(function) else { return Ok(()) };
                let least = fused.kernel().and_then(|kernel| kernel.device_batch_rows());
                if let (Some(least), Some(own)) = (least, fused.metrics()) {
                    least_rows = least_rows.max(Some(least));
                    if !kernels.metrics.iter().any(|known| Arc::ptr_eq(known, own)) {
                        kernels.metrics.push(Arc::clone(own));
                        kernels.functions.push(function.clone());
                    }
                }
                Ok(())
            })?;
        }
        Ok(least_rows.map(|least_rows| Self { kernels, least_rows }))
    }
}
