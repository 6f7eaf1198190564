//! Prepares plans that were planned without backends.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;

use super::fused_functions::for_each_fused_function;
use super::gpu_batches::GpuBatches;
use crate::backends::Backends;

/// Binds the unbound functions of a plan to the backends of a session, and adds the operators that put batches together for
/// GPUs, as sessions do that plan for themselves.
///
/// # Errors
/// A backend cannot run on this machine, or cannot compile a program.
pub fn prepare(plan: Arc<dyn ExecutionPlan>, config: &SessionConfig) -> Result<Arc<dyn ExecutionPlan>> {
    let backends = Backends::of(config);
    for_each_fused_function(&plan, |function| function.bind(&backends, config.options()))?;
    GpuBatches.optimize(plan, config.options())
}
