//! The logical rule that fuses numeric expressions.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{Between, Expr, ExprSchemable, Filter, LogicalPlan, ScalarUDF, ScalarUDFImpl};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::conditions::{Joining, is_visible, join_conditions, may_be_join_key};
use crate::expression_text::expression_text;
use crate::functions::{FusedFunction, ProgramFunction};
use crate::lowering::{Lowered, lower, lower_call};
use crate::options::WarpframeOptions;

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
/// Expressions that fusion does not make faster are not replaced, such as a single cheap operation, nor are conditions that
/// compare columns with constants or columns, which can prune Parquet files and be the keys of joins. With `warpframe.fuse = false`, only calls of
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
        match plan {
            LogicalPlan::Filter(Filter { predicate, input, .. }) => {
                let predicate = fuse_conditions(predicate, &schema, scope, Joining::Allowed)?;
                let filter = LogicalPlan::Filter(Filter::try_new(predicate.data, input)?);
                Ok(Transformed::new_transformed(filter, predicate.transformed))
            }
            LogicalPlan::Join(mut join) => {
                let filter = join.filter.take();
                let filter = filter.map(|filter| fuse_conditions(filter, &schema, scope, Joining::Never));
                let filter = filter.transpose()?;
                let mut keys = fuse_expressions(LogicalPlan::Join(join), &schema, scope)?;
                if let (LogicalPlan::Join(join), Some(filter)) = (&mut keys.data, filter) {
                    keys.transformed |= filter.transformed;
                    join.filter = Some(filter.data);
                }
                Ok(keys)
            }
            other => fuse_expressions(other, &schema, scope),
        }
    }
}

/// Fuses the expressions of a node.
fn fuse_expressions(plan: LogicalPlan, schema: &DFSchema, scope: Scope) -> Result<Transformed<LogicalPlan>> {
    // Nodes above refer to columns by name, and the name of an aggregate has its FILTER condition as it is displayed.
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(fuse(expr, schema, scope)?.update_data(|fused| name.restore(fused)))
    })
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

/// Fuses the conditions of a conjunction. Those that scans or joins may make use of stay visible.
fn fuse_conditions(
    predicate: Expr,
    schema: &DFSchema,
    scope: Scope,
    joining: Joining,
) -> Result<Transformed<Expr>> {
    let mut conditions = split_conjunction_owned(predicate);
    if scope == Scope::Expressions && joining == Joining::Allowed {
        conditions = join_conditions(conditions, schema);
    }
    let mut changed = false;
    for condition in &mut conditions {
        let taken = std::mem::take(condition);
        let fused = match scope {
            Scope::Expressions if is_visible(&taken) => Transformed::no(taken),
            Scope::Expressions if may_be_join_key(&taken) => {
                taken.map_children(|side| fuse(side, schema, scope))?
            }
            _ => fuse(taken, schema, scope)?,
        };
        changed |= fused.transformed;
        *condition = fused.data;
    }
    let predicate = conjunction(conditions).unwrap_or_else(|| datafusion::prelude::lit(true));
    Ok(Transformed::new_transformed(predicate, changed))
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
        function.program(program.output_type()).is_ok_and(|other| program.has_same_code(&other))
    });
    let label = match equal {
        Some(function) => ScalarUDFImpl::name(function).to_owned(),
        None => format!("fused({})", expression_text(expr)?),
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
                        let line = format!("{}: {reason}", expression_text(expr)?);
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
