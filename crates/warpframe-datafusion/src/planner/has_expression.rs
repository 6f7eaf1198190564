//! A search for expressions in a node of a plan.

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Whether an expression of a node, or a part of one, meets a condition. Rules call it first: to find the schema of a node and the
/// names of its expressions takes longer.
pub(super) fn has_expression(plan: &LogicalPlan, condition: impl Fn(&Expr) -> bool) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(|expr| {
        expr.apply(|part| {
            found |= condition(part);
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}
