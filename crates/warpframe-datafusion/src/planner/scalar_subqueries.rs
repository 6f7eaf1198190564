//! The analyzer rule that makes scalar subqueries without rows NULL.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinConstraint, JoinType, NullEquality, Result};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, Subquery};
use datafusion::optimizer::AnalyzerRule;

/// Gives scalar subqueries that may have no rows, and whose column is not nullable, a nullable column:
///
/// ```text
/// Subquery:
///   Filter: t.x > 5
///
/// Subquery:
///   Left Join:
///     EmptyRelation: rows=1
///     Filter: t.x > 5
/// ```
///
/// The value of a scalar subquery without rows is NULL, but DataFusion takes its nullability from that of its column
/// (apache/datafusion#24513): it replaces `(SELECT ...) IS NULL` by false, and fails when it has the value. The join has one
/// row if the subquery has none, and its rows otherwise. Correlated subqueries become left joins anyway.
#[derive(Debug, Default)]
pub struct ScalarSubqueries;

impl AnalyzerRule for ScalarSubqueries {
    fn name(&self) -> &str {
        "scalar_subqueries"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !has_candidates(&plan)? {
            return Ok(plan);
        }
        let plan = plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            let node = node.map_expressions(|expr| {
                let name = names.save(&expr);
                let rewritten = expr.transform_up(|expr| match expr {
                    Expr::ScalarSubquery(subquery) if is_candidate(&subquery) => {
                        Ok(Transformed::yes(Expr::ScalarSubquery(with_nullable_column(subquery)?)))
                    }
                    other => Ok(Transformed::no(other)),
                })?;
                Ok(rewritten.update_data(|expr| name.restore(expr)))
            })?;
            // The nullability of columns depends on that of the subqueries below.
            node.map_data(LogicalPlan::recompute_schema)
        })?;
        Ok(plan.data)
    }
}

fn has_candidates(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found |= matches!(expr, Expr::ScalarSubquery(subquery) if is_candidate(subquery));
                Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    })?;
    Ok(found)
}

fn is_candidate(subquery: &Subquery) -> bool {
    let plan = &subquery.subquery;
    let nullable = plan.schema().fields().first().is_none_or(|field| field.is_nullable());
    !nullable && subquery.outer_ref_columns.is_empty() && may_be_empty(plan)
}

/// Whether a plan may have no rows.
fn may_be_empty(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => may_be_empty(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => may_be_empty(&alias.input),
        LogicalPlan::Aggregate(aggregate) => !aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(relation) => !relation.produce_one_row,
        LogicalPlan::Values(values) => values.values.is_empty(),
        _ => true,
    }
}

fn with_nullable_column(subquery: Subquery) -> Result<Subquery> {
    let join = Join::try_new(
        Arc::new(LogicalPlanBuilder::empty(true).build()?),
        subquery.subquery,
        Vec::new(),
        None,
        JoinType::Left,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    Ok(Subquery { subquery: Arc::new(LogicalPlan::Join(join)), ..subquery })
}
