//! Rules that make scalar subqueries without rows NULL.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinConstraint, JoinType, NullEquality, Result, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, Subquery};
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};

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
/// row if the subquery has none, and its rows otherwise. For correlated subqueries, see [`CorrelatedSubqueries`].
#[derive(Debug, Default)]
pub struct ScalarSubqueries;

impl AnalyzerRule for ScalarSubqueries {
    fn name(&self) -> &str {
        "scalar_subqueries"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !has_subquery(&plan, is_candidate)? {
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

/// Whether a plan has a scalar subquery that meets a condition.
fn has_subquery(plan: &LogicalPlan, condition: impl Fn(&Subquery) -> bool) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found |= matches!(expr, Expr::ScalarSubquery(subquery) if condition(subquery));
                Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    })?;
    Ok(found)
}

fn is_limited(subquery: &Subquery) -> bool {
    // The condition does not fail.
    subquery.subquery.exists(|node| Ok(matches!(node, LogicalPlan::Limit(_)))).unwrap_or(false)
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

/// Replaces correlated scalar subqueries by left joins, as DataFusion does, but before any rule that reads the nullability of
/// expressions, and corrects that of the columns computed from them:
///
/// ```text
/// Projection: (<subquery>) IS NULL
///   Subquery:
///     Aggregate: groupBy=[[u.id]], aggr=[[count(*)]]
///       Filter: u.id = outer_ref(t.id)
///
/// Projection: __scalar_sq_1.count(*) IS NULL
///   Left Join: t.id = __scalar_sq_1.id
///     ...
/// ```
#[derive(Debug, Default)]
pub struct CorrelatedSubqueries;

impl OptimizerRule for CorrelatedSubqueries {
    fn name(&self) -> &str {
        "correlated_subqueries"
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !has_subquery(&plan, |subquery| !subquery.outer_ref_columns.is_empty())? {
            return Ok(Transformed::no(plan));
        }
        let rule = ScalarSubqueryToJoin::new();
        let joined = plan.transform_down_with_subqueries(|node| rule.rewrite(node, config))?;
        if has_subquery(&joined.data, |subquery| {
            !subquery.outer_ref_columns.is_empty() && is_limited(subquery)
        })? {
            return plan_err!(
                "a scalar subquery with LIMIT cannot refer to columns of the outer query: use an aggregate function, such as \
                 first_value with ORDER BY, instead of LIMIT"
            );
        }
        joined.transform_data(|plan| {
            plan.transform_up_with_subqueries(|node| Ok(Transformed::yes(node.recompute_schema()?)))
        })
    }
}
