//! Physical operators that evaluate programs.

mod fused_aggregate_exec;
mod fused_exec;
mod fused_pass;
mod fused_rows;
mod gpu_batch_exec;
mod gpu_batch_stream;
mod partial_state;
mod timed;

use datafusion::physical_plan::ExecutionPlan;

pub use fused_aggregate_exec::FusedAggregateExec;
pub use fused_exec::FusedExec;
pub use fused_pass::{FusedPass, Replaced};
pub use fused_rows::{FusedRows, NotFused};
pub use gpu_batch_exec::{GpuBatchExec, GpuKernels};
pub use partial_state::{PartialState, ReducedAggregate};
pub use timed::timed;

/// The pass of an operator, if it is a fused one.
pub fn fused_pass(plan: &dyn ExecutionPlan) -> Option<&FusedPass> {
    let fused = plan.downcast_ref::<FusedExec>().map(FusedExec::pass);
    fused.or_else(|| plan.downcast_ref::<FusedAggregateExec>().map(FusedAggregateExec::pass))
}
