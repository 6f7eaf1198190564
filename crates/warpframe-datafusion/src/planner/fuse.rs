//! The logical rule that fuses numeric expressions.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{
    Between, Cast, Expr, ExprSchemable, Filter, Like, LogicalPlan, Operator, ScalarUDF, ScalarUDFImpl,
    TryCast,
};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::prelude::Column;

use crate::functions::{FusedFunction, ProgramFunction};
use crate::lowering::{Lowered, lower, lower_call};
use crate::options::WarpframeOptions;
use warpframe_ir::ScalarType;

/// Replaces each maximal numeric expression that can be lowered to a program by one function, which is evaluated in one
/// pass over its inputs. Calls of program functions such as `log3` are replaced as well:
///
/// ```text
/// Projection: ln(rows.x) * ln(rows.y) * ln(rows.z)
/// Projection: fused(ln(x) * ln(y) * ln(z))(rows.x, rows.y, rows.z)
/// ```
///
/// Conditions of a filter that one program can compute are fused together.
///
/// Expressions that fusion does not make faster are not replaced, such as a single cheap operation, nor are conditions of
/// filters that compare columns with constants, which can prune Parquet files. With `warpframe.fuse = false`, only calls of
/// program functions are replaced. The names of result columns do not change.
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
        let scope = match WarpframeOptions::of(&config.options()).fuse && has_row_expressions(&plan) {
            true => Scope::Expressions,
            false => Scope::Calls,
        };
        let plan = if scope == Scope::Expressions { simplify_to_fixpoint(plan, config)? } else { plan };
        let schema = merge_schema(&plan.inputs());
        if let LogicalPlan::Filter(Filter { predicate, input, .. }) = plan {
            let mut conditions = split_conjunction_owned(predicate);
            // The conditions above a join may be pushed to either side of it.
            if scope == Scope::Expressions && !matches!(&*input, LogicalPlan::Join(_)) {
                conditions = join_conditions(conditions, &schema);
            }
            let mut changed = false;
            for condition in &mut conditions {
                if scope == Scope::Calls || !is_prunable(condition) {
                    let fused = fuse(std::mem::take(condition), &schema, scope)?;
                    changed |= fused.transformed;
                    *condition = fused.data;
                }
            }
            let predicate = conjunction(conditions).unwrap_or_else(|| datafusion::prelude::lit(true));
            let filter = LogicalPlan::Filter(Filter::try_new(predicate, input)?);
            return Ok(if changed { Transformed::yes(filter) } else { Transformed::no(filter) });
        }
        // Nodes above refer to columns by name, and the name of an aggregate has its FILTER condition as it is displayed.
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(fuse(expr, &schema, scope)?.update_data(|fused| name.restore(fused)))
        })
    }
}

/// The expressions that are fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All profitable expressions, and calls of program functions.
    Expressions,
    /// Calls of program functions only.
    Calls,
}

/// Simplifies the node's expressions until they do not change. DataFusion simplifies once in each pass, but in a later
/// pass the expressions are fused and can no longer be simplified.
fn simplify_to_fixpoint(mut plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<LogicalPlan> {
    for _ in 0..config.options().optimizer.max_passes {
        let simplified = SimplifyExpressions::new().rewrite(plan, config)?;
        plan = simplified.data;
        if !simplified.transformed {
            break;
        }
    }
    Ok(plan)
}

/// Whether the node evaluates expressions on the rows of its inputs.
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

/// Joins conditions that one program can compute, so that they are fused together. Conditions that can prune files stay
/// separate, as those that have no program of their own.
///
/// A condition joins an earlier one only if it cannot fail, and is not moved across others than those that prune, which
/// cannot fail either. So the order in which conditions are evaluated decides about errors as before.
fn join_conditions(conditions: Vec<Expr>, schema: &DFSchema) -> Vec<Expr> {
    let mut joined: Vec<Expr> = Vec::with_capacity(conditions.len());
    // The position of the condition that others can join.
    let mut open: Option<usize> = None;
    for condition in conditions {
        if is_prunable(&condition) {
            joined.push(condition);
            continue;
        }
        let both = open.map(|open| joined[open].clone().and(condition.clone()));
        match (open, both) {
            (Some(open), Some(both)) if lower(&condition, schema).is_ok() && lower(&both, schema).is_ok() => {
                joined[open] = both;
            }
            _ => {
                open = lower(&condition, schema).is_ok().then_some(joined.len());
                joined.push(condition);
            }
        }
    }
    joined
}

/// Whether a condition may prune the files of a scan by their statistics: it consists of comparisons of columns with
/// constants. Inside of a fused function, scans would not see them.
fn is_prunable(condition: &Expr) -> bool {
    match condition {
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::And | Operator::Or) => {
            is_prunable(&binary.left) && is_prunable(&binary.right)
        }
        Expr::BinaryExpr(binary) => {
            let sides = [&*binary.left, &*binary.right];
            is_comparison(binary.op)
                && sides.into_iter().any(is_constant)
                && sides.into_iter().all(|side| is_constant(side) || is_stored(side))
        }
        Expr::Like(Like { expr, pattern, .. }) => is_stored(expr) && is_constant(pattern),
        Expr::Not(inner) => is_prunable(inner),
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

fn fuse(expr: Expr, schema: &DFSchema, scope: Scope) -> Result<Transformed<Expr>> {
    expr.transform_down(|expr| match fusion_decision(&expr, schema, scope) {
        FusionDecision::Fuse(call) => Ok(Transformed::new(call, true, TreeNodeRecursion::Jump)),
        FusionDecision::Keep(_) => Ok(Transformed::no(expr)),
    })
}

enum FusionDecision {
    /// The expression is replaced by this call.
    Fuse(Expr),
    /// The expression is not fused. The reason is given if users may expect fusion.
    Keep(Option<String>),
}

fn fusion_decision(expr: &Expr, schema: &DFSchema, scope: Scope) -> FusionDecision {
    let called = program_function(expr);
    if matches!(expr, Expr::Alias(_) | Expr::Column(_) | Expr::Literal(..))
        || is_fused(expr)
        || scope == Scope::Calls && called.is_none()
    {
        return FusionDecision::Keep(None);
    }
    let lowered = match scope {
        Scope::Expressions => lower(expr, schema),
        Scope::Calls => lower_call(expr, schema),
    };
    let lowered = match lowered {
        Ok(lowered) => lowered,
        Err(reason) => {
            return FusionDecision::Keep(expects_fusion(expr, schema).then(|| reason.to_string()));
        }
    };
    if called.is_none() && !lowered.work.is_profitable() {
        let reason = "it has too few operations for a pass of its own to be faster".to_owned();
        return FusionDecision::Keep(expects_fusion(expr, schema).then_some(reason));
    }
    match fused_call(expr, called, lowered, schema, scope) {
        Ok(call) => FusionDecision::Fuse(call),
        Err(error) => FusionDecision::Keep(Some(error.strip_backtrace())),
    }
}

/// The call of a new fused function that replaces an expression.
fn fused_call(
    expr: &Expr,
    called: Option<&ProgramFunction>,
    lowered: Lowered,
    schema: &DFSchema,
    scope: Scope,
) -> Result<Expr> {
    let Lowered { program, arguments, .. } = lowered;
    // If the program equals that of a named function, its label is the name.
    let equal = called.filter(|function| {
        let scalar_type = program.number_type().unwrap_or(ScalarType::F64);
        function.program(scalar_type).is_ok_and(|other| program.has_same_code(&other))
    });
    let label = match equal {
        Some(function) => ScalarUDFImpl::name(function).to_owned(),
        None => format!("fused({})", display_text(expr)?),
    };
    let (name, nullable) = (expr.schema_name().to_string(), expr.nullable(schema)?);
    // Arguments are evaluated by DataFusion and may contain fusible expressions.
    let arguments = arguments.into_iter().map(|argument| Ok(fuse(argument, schema, scope)?.data));
    let arguments = arguments.collect::<Result<Vec<_>>>()?;
    Ok(ScalarUDF::from(FusedFunction::new(Arc::new(program), label, name, nullable)).call(arguments))
}

/// Whether users may expect fusion: the expression is an operation that results in a number, or a predicate of numbers.
fn expects_fusion(expr: &Expr, schema: &DFSchema) -> bool {
    let is_numeric = |expr: &Expr| expr.get_type(schema).is_ok_and(|data_type| data_type.is_numeric());
    match expr {
        Expr::AggregateFunction(_) | Expr::WindowFunction(_) => false,
        Expr::Cast(_) | Expr::TryCast(_) => false,
        Expr::BinaryExpr(binary) => is_numeric(expr) || is_numeric(&binary.left),
        Expr::Between(Between { expr: operand, .. }) | Expr::InList(InList { expr: operand, .. }) => {
            is_numeric(operand)
        }
        other => is_numeric(other),
    }
}

fn is_fused(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.inner().is::<FusedFunction>())
}

/// The program function that an expression calls, if it is a call of one.
fn program_function(expr: &Expr) -> Option<&ProgramFunction> {
    match expr {
        Expr::ScalarFunction(call) => call.func.inner().downcast_ref(),
        _ => None,
    }
}

/// The text of an expression, with unqualified columns and numbers without their types.
fn display_text(expr: &Expr) -> Result<String> {
    let text = |text: String| Transformed::yes(Expr::Column(Column::new_unqualified(text)));
    let unqualified = expr.clone().transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => text(column.name),
            Expr::Literal(number, _) if number.data_type().is_numeric() => text(number.to_string()),
            other => Transformed::no(other),
        })
    })?;
    Ok(unqualified.data.to_string())
}

/// The numeric expressions of an optimized plan that are not fused, each with the reason.
///
/// # Errors
/// The plan or an expression cannot be traversed.
pub fn not_fused(plan: &LogicalPlan) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    plan.apply_with_subqueries(|node| {
        if has_row_expressions(node) {
            let schema = merge_schema(&node.inputs());
            node.apply_expressions(|expr| {
                expr.apply(|expr| match fusion_decision(expr, &schema, Scope::Expressions) {
                    FusionDecision::Keep(Some(reason)) => {
                        let line = format!("{}: {reason}", display_text(expr)?);
                        if !reasons.contains(&line) {
                            reasons.push(line);
                        }
                        Ok(TreeNodeRecursion::Continue)
                    }
                    _ if is_fused(expr) => Ok(TreeNodeRecursion::Jump),
                    _ => Ok(TreeNodeRecursion::Continue),
                })
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(reasons)
}
