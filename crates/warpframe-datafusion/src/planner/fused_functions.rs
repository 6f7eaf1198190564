//! Visits the fused functions of a physical plan, and prepares them for execution.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;

use crate::backends::Backends;
use crate::functions::FusedFunction;
use crate::memory::PoolBudget;
use crate::options::WarpframeOptions;
use warpframe_ir::memory::MemoryBudget;

/// Calls `visit` for every fused function of a plan.
///
/// # Errors
/// The first error of `visit`.
pub fn for_each_fused_function(
    plan: &Arc<dyn ExecutionPlan>,
    mut visit: impl FnMut(&FusedFunction) -> Result<()>,
) -> Result<()> {
    plan.apply(|node| {
        node.apply_expressions(&mut |expression: &Arc<dyn PhysicalExpr>| {
            expression.apply(|expression| {
                let function = expression.downcast_ref::<ScalarFunctionExpr>().map(|call| call.fun().inner());
                if let Some(function) = function.and_then(|inner| inner.downcast_ref::<FusedFunction>()) {
                    visit(function)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// Prepares the fused functions of a plan for a task: binds unbound functions to the backends of the task's session,
/// and sets the task's memory pool as the budget of all. Returns the context to execute the plan with: if a function
/// has a kernel for a device, its batch size is the option `warpframe.cuda.batch_rows`, or the minimum of the kernels
/// if that is greater.
///
/// # Errors
/// A backend cannot run on this machine, or cannot compile a program.
pub fn prepare(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<Arc<TaskContext>> {
    let config = context.session_config();
    let backends = Backends::of(config);
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

/// The batch size for kernels that require at least `least` rows: the option `warpframe.cuda.batch_rows`, or `least` if
/// it is greater.
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
