//! The fused functions of a physical plan.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;

use crate::functions::FusedFunction;
use crate::memory::PoolBudget;
use warpframe_ir::memory::MemoryBudget;

/// The fused function of a function's implementation, if it is one.
pub(super) fn as_fused(function: &ScalarUDF) -> Option<&FusedFunction> {
    function.inner().downcast_ref()
}

/// Calls `visit` for every fused function of a plan.
///
/// # Errors
/// The first error of `visit`.
pub fn for_each_fused_function(
    plan: &Arc<dyn ExecutionPlan>,
    mut visit: impl FnMut(&FusedFunction) -> Result<()>,
) -> Result<()> {
    plan.apply(|node| {
        for_each_own_function(node.as_ref(), |function| as_fused(function).map_or(Ok(()), &mut visit))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Calls `visit` for every function of an operator, without those below it.
pub(super) fn for_each_own_function(
    operator: &dyn ExecutionPlan,
    mut visit: impl FnMut(&ScalarUDF) -> Result<()>,
) -> Result<()> {
    operator.apply_expressions(&mut |expression: &Arc<dyn PhysicalExpr>| {
        expression.apply(|expression| {
            if let Some(call) = expression.downcast_ref::<ScalarFunctionExpr>() {
                visit(call.fun())?;
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(())
}

/// Sets the memory pool of a task as the budget of all fused functions of its plan, which are bound.
///
/// # Errors
/// An expression cannot be traversed.
pub fn set_memory(plan: &Arc<dyn ExecutionPlan>, context: &TaskContext) -> Result<()> {
    let memory = memory_budget(context);
    for_each_fused_function(plan, |function| {
        function.set_memory(Arc::clone(&memory));
        Ok(())
    })
}

/// The memory budget of a task.
pub(super) fn memory_budget(context: &TaskContext) -> Arc<dyn MemoryBudget> {
    Arc::new(PoolBudget(Arc::clone(context.memory_pool())))
}
