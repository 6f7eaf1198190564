//! Conditions of filters and joins: which of them are fused together, and which stay visible to other rules and to scans.

use std::collections::HashSet;

use datafusion::common::{DFSchema, TableReference};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, Cast, Expr, Like, Operator, TryCast};

use crate::lowering::lower;

/// Whether conditions may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joining {
    /// The conditions of a filter.
    Allowed,
    /// The conditions of a join, which may become its keys or move to one of its sides.
    Never,
}

/// Joins conditions on one relation that one program can compute, so that they are fused together. Conditions that have to
/// stay visible are separate, as those that have no program of their own, and those of several relations, which may be pushed
/// to different sides of a join.
///
/// A condition joins an earlier one only if it cannot fail, and is not moved across visible ones, which cannot
/// fail either. So the order in which conditions are evaluated decides about errors as before.
pub(super) fn join_conditions(conditions: Vec<Expr>, schema: &DFSchema) -> Vec<Expr> {
    let mut joined: Vec<Expr> = Vec::with_capacity(conditions.len());
    // The position of the condition that others can join.
    let mut open: Option<usize> = None;
    for condition in conditions {
        let has_several_relations = relations(&condition).len() > 1;
        if has_several_relations {
            open = None;
        }
        if has_several_relations || is_visible(&condition) {
            joined.push(condition);
            continue;
        }
        let both = open.map(|open| (open, joined[open].clone().and(condition.clone())));
        // The conjunction has a program only if this condition has one that cannot fail.
        match both.filter(|(_, both)| relations(both).len() <= 1 && lower(both, schema).is_ok()) {
            Some((open, both)) => joined[open] = both,
            None => {
                open = lower(&condition, schema).is_ok().then_some(joined.len());
                joined.push(condition);
            }
        }
    }
    joined
}

/// Whether a condition may become the key of a join: an equality of expressions of different relations.
pub(super) fn may_be_join_key(condition: &Expr) -> bool {
    let Expr::BinaryExpr(binary) = condition else { return false };
    matches!(binary.op, Operator::Eq | Operator::IsNotDistinctFrom)
        && !relations(&binary.left).is_empty()
        && !relations(&binary.right).is_empty()
        && relations(condition).len() > 1
}

/// The relations whose columns an expression refers to.
fn relations(expr: &Expr) -> HashSet<Option<TableReference>> {
    expr.column_refs().into_iter().map(|column| column.relation.clone()).collect()
}

/// Whether a condition has to stay visible to other rules and to scans, which do not look into functions: it consists of
/// comparisons of columns with constants, which can prune files by their statistics, or with columns, which can be the keys of
/// a join.
pub(super) fn is_visible(condition: &Expr) -> bool {
    match condition {
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::And | Operator::Or) => {
            is_visible(&binary.left) && is_visible(&binary.right)
        }
        Expr::BinaryExpr(binary) => {
            let sides = [&*binary.left, &*binary.right];
            is_comparison(binary.op) && sides.into_iter().all(|side| is_constant(side) || is_stored(side))
        }
        Expr::Like(Like { expr, pattern, .. }) => is_stored(expr) && is_constant(pattern),
        Expr::Not(inner) => is_visible(inner),
        Expr::Between(Between { expr, low, high, .. }) => {
            is_stored(expr) && is_constant(low) && is_constant(high)
        }
        Expr::InList(InList { expr, list, .. }) => is_stored(expr) && list.iter().all(is_constant),
        Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner) => is_stored(inner),
        other => is_stored(other),
    }
}

/// Whether an expression is a column, or a cast of one, which pruning looks through.
fn is_stored(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => is_stored(expr),
        _ => false,
    }
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::*;
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..) | Expr::ScalarVariable(..) | Expr::Placeholder(_))
}
