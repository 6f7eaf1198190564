//! The fused functions of a physical plan: finding them, and what they need to run.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;

use crate::backends::Backends;
use crate::functions::FusedFunction;
use crate::memory_pool::PoolBudget;
use crate::options::WarpframeOptions;
use warpframe_ir::memory::MemoryBudget;

/// Calls a function for every fused function of a plan.
///
/// # Errors
/// The first of the function's.
pub fn for_each_fused_function(
    plan: &Arc<dyn ExecutionPlan>,
    mut each: impl FnMut(&FusedFunction) -> Result<()>,
) -> Result<()> {
    plan.apply(|node| {
        node.apply_expressions(&mut |expression: &Arc<dyn PhysicalExpr>| {
            expression.apply(|part| {
                let function = part.downcast_ref::<ScalarFunctionExpr>().map(|call| call.fun().inner());
                if let Some(function) = function.and_then(|inner| inner.downcast_ref::<FusedFunction>()) {
                    each(function)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// Prepares a plan's fused functions for a task: binds those that are not bound to the backends of the task's session,
/// and gives all of them the task's memory pool. Returns the context that the plan is to be executed with, whose batches
/// have the rows that the kernels want.
///
/// # Errors
/// A backend cannot run on this machine, or cannot compile a program.
pub fn prepare(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<Arc<TaskContext>> {
    let config = context.session_config();
    let backends = config.get_extension::<Backends>().unwrap_or_else(|| Arc::clone(Backends::shared()));
    let memory: Arc<dyn MemoryBudget> = Arc::new(PoolBudget(Arc::clone(context.memory_pool())));
    let mut device_rows = None;
    for_each_fused_function(plan, |function| {
        function.bind(&backends, config.options())?;
        function.set_memory(Arc::clone(&memory));
        device_rows = device_rows.max(function.kernel().and_then(|kernel| kernel.device_batch_rows()));
        Ok(())
    })?;
    Ok(match device_rows {
        Some(least) => with_batch_rows(context, device_batch_rows(config.options(), least)),
        None => Arc::clone(context),
    })
}

/// The rows in a batch for kernels that want at least so many: the option `warpframe.cuda.batch_rows`, or more.
pub fn device_batch_rows(config: &ConfigOptions, least: usize) -> usize {
    WarpframeOptions::of(config).cuda_batch_rows.max(least)
}

fn with_batch_rows(context: &Arc<TaskContext>, rows: usize) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone().with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}
