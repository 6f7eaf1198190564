//! The logical rule that fuses numeric expressions.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, ScalarUDF, ScalarUDFImpl};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::prelude::Column;
use std::sync::Arc;

use crate::functions::{FusedFunction, ProgramFunction};
use crate::lowering::{Lowered, lower, lower_call};
use crate::options::WarpframeOptions;
use warpframe_cpu::{is_binary_vectorized, is_unary_vectorized};
use warpframe_ir::instruction::Instruction;
use warpframe_ir::program::Program;

/// Replaces the largest numeric expressions that can be lowered to programs by one function each, evaluated in one pass
/// over its columns, and calls of program functions such as `log3` likewise:
///
/// ```text
/// Projection: ln(rows.x) * ln(rows.y) * ln(rows.z)
/// Projection: fused(ln(x) * ln(y) * ln(z))(rows.x, rows.y, rows.z)
/// ```
///
/// Expressions that one pass would not make faster stay as they are: a comparison of a column with a number, by which
/// Parquet files can be pruned, or a single cheap operation. `warpframe.fuse = false` leaves all but the calls of program
/// functions. The names of the result columns stay as they were.
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
        let plan = if scope == Scope::Expressions { simplified(plan, config)? } else { plan };
        let schema = merge_schema(&plan.inputs());
        if let LogicalPlan::Filter(Filter { predicate, input, .. }) = plan {
            // Each condition by itself: those that compare a column with a number can be pushed down alone.
            let mut changed = false;
            let mut conditions = Vec::new();
            for condition in split_conjunction_owned(predicate) {
                let fused = fuse(condition, &schema, scope)?;
                changed |= fused.transformed;
                conditions.push(fused.data);
            }
            let predicate = conjunction(conditions).unwrap_or_else(|| datafusion::prelude::lit(true));
            let filter = LogicalPlan::Filter(Filter::try_new(predicate, input)?);
            return Ok(if changed { Transformed::yes(filter) } else { Transformed::no(filter) });
        }
        plan.map_expressions(|expr| fuse(expr, &schema, scope))
    }
}

/// Which expressions become fused functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All that pay off, and calls of program functions.
    Expressions,
    /// Calls of program functions.
    Calls,
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

fn fuse(expr: Expr, schema: &DFSchema, scope: Scope) -> Result<Transformed<Expr>> {
    expr.transform_down(|expr| match fusion_decision(&expr, schema, scope) {
        FusionDecision::Fuse(call) => Ok(Transformed::new(call, true, TreeNodeRecursion::Jump)),
        FusionDecision::Keep(_) => Ok(Transformed::no(expr)),
    })
}

enum FusionDecision {
    /// The call that replaces the expression.
    Fuse(Expr),
    /// The expression stays; the reason, if it is one that users might expect to be fused.
    Keep(Option<String>),
}

fn fusion_decision(expr: &Expr, schema: &DFSchema, scope: Scope) -> FusionDecision {
    let called = program_function(expr);
    if matches!(expr, Expr::Alias(_) | Expr::Column(_) | Expr::Literal(..) | Expr::Cast(_))
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
            return FusionDecision::Keep(is_number(expr, schema).then(|| reason.to_string()));
        }
    };
    if called.is_none() && !is_profitable(&lowered.program) {
        let reason = "it has too few operations for a pass of its own to be faster".to_owned();
        return FusionDecision::Keep(is_number(expr, schema).then_some(reason));
    }
    match fused_call(expr, called, lowered, schema, scope) {
        Ok(call) => FusionDecision::Fuse(call),
        Err(error) => FusionDecision::Keep(Some(error.strip_backtrace())),
    }
}

/// The call of the fused function that replaces an expression.
fn fused_call(
    expr: &Expr,
    called: Option<&ProgramFunction>,
    lowered: Lowered,
    schema: &DFSchema,
    scope: Scope,
) -> Result<Expr> {
    let Lowered { program, arguments } = lowered;
    // A program that is nothing but that of a named function is shown by this name.
    let whole = called.filter(|function| {
        function.program(program.precision()).is_ok_and(|whole| program.has_same_code(&whole))
    });
    let label = match whole {
        Some(function) => ScalarUDFImpl::name(function).to_owned(),
        None => format!("fused({})", formula(expr)?),
    };
    let (name, nullable) = (expr.schema_name().to_string(), expr.nullable(schema)?);
    // Arguments that DataFusion evaluates may have expressions to fuse themselves.
    let arguments = arguments.into_iter().map(|argument| Ok(fuse(argument, schema, scope)?.data));
    let arguments = arguments.collect::<Result<Vec<_>>>()?;
    Ok(ScalarUDF::from(FusedFunction::new(Arc::new(program), label, name, nullable)).call(arguments))
}

/// Whether one pass is faster: it has an op that vector code makes much faster, or at least two operations, each of
/// which would read and write memory.
fn is_profitable(program: &Program) -> bool {
    let mut operations = 0;
    for instruction in program.instructions() {
        let (costly, vectorized) = match *instruction {
            Instruction::Unary(op, _) => (op.info().costly, is_unary_vectorized(op)),
            Instruction::Binary(op, ..) => (op.info().costly, is_binary_vectorized(op)),
            Instruction::Select(..) => return true,
            _ => continue,
        };
        operations += 1;
        if costly && vectorized {
            return true;
        }
    }
    operations >= 2
}

/// Whether users might expect the expression to be fused.
fn is_number(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| data_type.is_floating())
}

fn is_fused(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.inner().is::<FusedFunction>())
}

/// The program function that an expression calls, if it is such a call.
fn program_function(expr: &Expr) -> Option<&ProgramFunction> {
    match expr {
        Expr::ScalarFunction(call) => call.func.inner().downcast_ref(),
        _ => None,
    }
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
                expr.apply(|part| match fusion_decision(part, &schema, Scope::Expressions) {
                    FusionDecision::Keep(Some(reason)) => {
                        let line = format!("{}: {reason}", formula(part)?);
                        if !reasons.contains(&line) {
                            reasons.push(line);
                        }
                        Ok(TreeNodeRecursion::Continue)
                    }
                    _ if is_fused(part) => Ok(TreeNodeRecursion::Jump),
                    _ => Ok(TreeNodeRecursion::Continue),
                })
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(reasons)
}
