//! The logical rule that fuses numeric expressions.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, ScalarUDF};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::prelude::Column;

use crate::config::WarpframeOptions;
use crate::functions::{Fused, Log3};
use crate::program::{Special, lower, pays};

/// Replaces the largest numeric expressions that programs can calculate by one function each, evaluated in
/// one pass over its columns:
///
/// ```text
/// Projection: ln(rows.x) * ln(rows.y) * ln(rows.z)
/// Projection: fused(ln(x) * ln(y) * ln(z))(rows.x, rows.y, rows.z)
/// ```
///
/// Where one pass isn't worth it, expressions stay as they are: a comparison of a column with a number, so
/// that Parquet files can still be pruned by it, or a single cheap operation. `warpframe.fuse = false` turns
/// the rule off. The names of the result columns stay as they were.
#[derive(Debug, Default)]
pub struct Fuse;

impl OptimizerRule for Fuse {
    fn name(&self) -> &str {
        "fuse"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !WarpframeOptions::of(&config.options()).fuse || !has_row_expressions(&plan) {
            return Ok(Transformed::no(plan));
        }
        let plan = simplified(plan, config)?;
        let schema = merge_schema(&plan.inputs());
        if let LogicalPlan::Filter(Filter { predicate, input, .. }) = plan {
            // Each condition by itself: those that name one column and a number can be pushed down alone.
            let mut changed = false;
            let mut conditions = Vec::new();
            for condition in split_conjunction_owned(predicate) {
                let fused = fuse(condition, &schema)?;
                changed |= fused.transformed;
                conditions.push(fused.data);
            }
            let predicate = conjunction(conditions).unwrap_or_else(|| datafusion::prelude::lit(true));
            let filter = LogicalPlan::Filter(Filter::try_new(predicate, input)?);
            return Ok(if changed { Transformed::yes(filter) } else { Transformed::no(filter) });
        }
        plan.map_expressions(|expr| fuse(expr, &schema))
    }
}

/// The node with expressions that DataFusion cannot simplify any further. It tries again in each of its passes,
/// and would find nothing to simplify in what this one has fused.
fn simplified(mut plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<LogicalPlan> {
    for _ in 0..config.options().optimizer.max_passes {
        let simplified = SimplifyExpressions::new().rewrite(plan, config)?;
        plan = simplified.data;
        if !simplified.transformed {
            break;
        }
    }
    Ok(plan)
}

/// Whether the plan's node evaluates expressions over the rows of its inputs.
fn has_row_expressions(plan: &LogicalPlan) -> bool {
    matches!(
        plan,
        LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
    )
}

fn fuse(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_down(|expr| match verdict(&expr, schema) {
        Verdict::Fuse(call) => Ok(Transformed::new(call, true, TreeNodeRecursion::Jump)),
        Verdict::Keep(_) => Ok(Transformed::no(expr)),
    })
}

enum Verdict {
    /// The call that takes the expression's place.
    Fuse(Expr),
    /// Why the expression stays, if it is one that users might expect to be fused.
    Keep(Option<String>),
}

fn verdict(expr: &Expr, schema: &DFSchema) -> Verdict {
    if matches!(expr, Expr::Alias(_) | Expr::Column(_) | Expr::Literal(..) | Expr::Cast(_)) || is_ours(expr) {
        return Verdict::Keep(None);
    }
    let lowered = match lower(expr, schema) {
        Ok(lowered) => lowered,
        Err(reason) => {
            return Verdict::Keep(is_number(expr, schema).then(|| reason.to_string()));
        }
    };
    if !pays(&lowered.program) {
        let reason = "it has too few operations for a pass of its own to be faster".to_owned();
        return Verdict::Keep(is_number(expr, schema).then_some(reason));
    }
    if lowered.program.special() == Some(Special::Log3) && calls_log3(expr) {
        return Verdict::Keep(None);
    }
    // Arguments that DataFusion has to evaluate may hold expressions of their own.
    let arguments = lowered.arguments.into_iter().map(|argument| Ok(fuse(argument, schema)?.data));
    let call = arguments.collect::<Result<Vec<_>>>().and_then(|arguments| {
        let (name, nullable) = (expr.schema_name().to_string(), expr.nullable(schema)?);
        let function = Fused::new(lowered.program, formula(expr)?, name, nullable);
        Ok(ScalarUDF::from(function).call(arguments))
    });
    match call {
        Ok(call) => Verdict::Fuse(call),
        Err(error) => Verdict::Keep(Some(error.strip_backtrace())),
    }
}

/// Whether users might expect the expression to be fused.
fn is_number(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| data_type.is_floating())
}

fn calls_log3(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.inner().is::<Log3>())
}

fn is_ours(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.inner().is::<Fused>())
}

/// The expression as one would write it: columns without their tables, numbers without their types.
fn formula(expr: &Expr) -> Result<String> {
    let bare = |text: String| Transformed::yes(Expr::Column(Column::new_unqualified(text)));
    let plain = expr.clone().transform(|part| {
        Ok(match part {
            Expr::Column(column) => bare(column.name),
            Expr::Literal(number, _) if number.data_type().is_numeric() => bare(number.to_string()),
            other => Transformed::no(other),
        })
    })?;
    Ok(plain.data.to_string())
}

/// The numeric expressions of an optimized plan that were not fused, each with the reason.
///
/// # Errors
/// None is expected.
pub fn not_fused(plan: &LogicalPlan) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    plan.apply_with_subqueries(|node| {
        if has_row_expressions(node) {
            let schema = merge_schema(&node.inputs());
            node.apply_expressions(|expr| {
                expr.apply(|part| match verdict(part, &schema) {
                    Verdict::Keep(Some(reason)) => {
                        let line = format!("{}: {reason}", formula(part)?);
                        if !reasons.contains(&line) {
                            reasons.push(line);
                        }
                        Ok(TreeNodeRecursion::Continue)
                    }
                    _ if is_ours(part) => Ok(TreeNodeRecursion::Jump),
                    _ => Ok(TreeNodeRecursion::Continue),
                })
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(reasons)
}
