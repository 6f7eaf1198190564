//! The physical rule that evaluates no operand of AND and OR in rows that other operands decide, if it can fail there.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, CastExpr, Literal, lit};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};

use crate::functions::FusedFunction;
use crate::lowering::lower_condition;
use crate::options::WarpframeOptions;

/// Evaluates operands of AND that can fail only in rows in which no operand before them is false, and those of OR only in rows
/// in which no operand before them is true, in filters, projections, and the arguments of aggregates:
///
/// ```text
/// ProjectionExec: expr=[b != 0 AND a / b > 1]
/// ProjectionExec: expr=[b != 0 AND CASE WHEN (b != 0) IS DISTINCT FROM false THEN a / b > 1 ELSE false END]
/// ```
///
/// The conditions of a filter that cannot fail come before all others.
///
/// DataFusion evaluates an operand in all rows of a batch unless those before it decide most of them
/// (apache/datafusion#8927). It also replaces a CASE of Boolean values by AND and OR. The rule runs first, so that scans that
/// evaluate conditions and projections get these, but for filters that [`FuseOperators`](super::FuseOperators) may fuse, which
/// evaluates conditions in this order. It runs again for those that are not fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortCircuit {
    /// The rule before all others.
    First,
    /// The rule after filters are fused.
    Last,
}

impl PhysicalOptimizerRule for ShortCircuit {
    fn name(&self) -> &str {
        "short_circuit"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // Scans do not fuse the conditions that are pushed into them.
        let may_be_fused = *self == Self::First
            && WarpframeOptions::of(config).fuse
            && !config.execution.parquet.pushdown_filters;
        let plan = plan.transform_up(|node| {
            let rewritten = if let Some(filter) = node.downcast_ref::<FilterExec>() {
                // Lowering takes longer than the search for conditions that can fail, which few filters have.
                let is_fused = || lower_condition(&filter.input().schema(), filter.predicate()).is_ok();
                rewrite_filter(filter)?.filter(|_| !(may_be_fused && is_fused()))
            } else if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
                rewrite_projection(projection)?
            } else if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
                rewrite_aggregate(aggregate)?
            } else {
                None
            };
            Ok(match rewritten {
                Some(rewritten) => Transformed::yes(rewritten),
                None => Transformed::no(node),
            })
        })?;
        Ok(plan.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn rewrite_filter(filter: &FilterExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let schema = filter.input().schema();
    let mut conditions = Vec::new();
    for condition in operands(filter.predicate(), Operator::And) {
        conditions.push((can_fail(&condition, &schema)?, condition));
    }
    conditions.sort_by_key(|(can_fail, _)| *can_fail);
    let predicate = chain(conditions, Operator::And, &schema)?;
    if !predicate.transformed {
        return Ok(None);
    }
    let filter = FilterExecBuilder::from(filter).with_predicate(predicate.data).build()?;
    Ok(Some(Arc::new(filter)))
}

fn rewrite_projection(projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let schema = projection.input().schema();
    let mut changed = false;
    let mut expressions = Vec::with_capacity(projection.expr().len());
    for ProjectionExpr { expr, alias } in projection.expr() {
        let expr = rewrite(expr, &schema)?;
        changed |= expr.transformed;
        expressions.push(ProjectionExpr { expr: expr.data, alias: alias.clone() });
    }
    if !changed {
        return Ok(None);
    }
    Ok(Some(Arc::new(ProjectionExec::try_new(expressions, Arc::clone(projection.input()))?)))
}

/// Arguments are rewritten in the stages that read rows; others read the states of earlier stages.
fn rewrite_aggregate(aggregate: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let schema = aggregate.input_schema();
    let mut changed = false;
    let mut functions = Vec::with_capacity(aggregate.aggr_expr().len());
    for function in aggregate.aggr_expr() {
        let mut arguments = Vec::new();
        let mut rewritten = false;
        for argument in function.expressions() {
            let argument = rewrite(&argument, &schema)?;
            rewritten |= argument.transformed;
            arguments.push(argument.data);
        }
        let orders = function.order_bys().iter().map(|key| Arc::clone(&key.expr)).collect();
        let new = if rewritten { function.with_new_expressions(arguments, orders) } else { None };
        changed |= new.is_some();
        functions.push(new.map_or_else(|| Arc::clone(function), Arc::new));
    }
    let mut filters = Vec::with_capacity(aggregate.filter_expr().len());
    for filter in aggregate.filter_expr() {
        filters.push(match filter {
            Some(filter) => {
                let filter = rewrite(filter, &schema)?;
                changed |= filter.transformed;
                Some(filter.data)
            }
            None => None,
        });
    }
    if !changed {
        return Ok(None);
    }
    let rewritten = AggregateExec::try_new(
        *aggregate.mode(),
        aggregate.group_expr().clone(),
        functions,
        filters,
        Arc::clone(aggregate.input()),
        schema,
    )?;
    let same = rewritten.schema() == aggregate.schema();
    Ok(same.then(|| Arc::new(rewritten.with_limit_options(aggregate.limit_options())) as _))
}

/// Rewrites all chains of AND and OR in an expression.
fn rewrite(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
    Arc::clone(expr).transform_down(|part| {
        let Some(op) = logical_operator(&part) else { return Ok(Transformed::no(part)) };
        let mut checked = Vec::new();
        for operand in operands(&part, op) {
            checked.push((can_fail(&operand, schema)?, operand));
        }
        let chain = chain(checked, op, schema)?;
        let rewritten = if chain.transformed { chain.data } else { part };
        // Its operands are rewritten as well.
        Ok(Transformed::new(rewritten, chain.transformed, TreeNodeRecursion::Jump))
    })
}

fn logical_operator(expr: &Arc<dyn PhysicalExpr>) -> Option<Operator> {
    let op = *expr.downcast_ref::<BinaryExpr>()?.op();
    matches!(op, Operator::And | Operator::Or).then_some(op)
}

/// The operands of a chain of one operator, in their order.
fn operands(expr: &Arc<dyn PhysicalExpr>, op: Operator) -> Vec<Arc<dyn PhysicalExpr>> {
    let (mut pending, mut operands) = (vec![expr], Vec::new());
    while let Some(expr) = pending.pop() {
        match expr.downcast_ref::<BinaryExpr>() {
            Some(binary) if *binary.op() == op => pending.extend([binary.right(), binary.left()]),
            _ => operands.push(Arc::clone(expr)),
        }
    }
    operands
}

/// The chain of operands, of which it is known whether they can fail.
fn chain(
    operands: Vec<(bool, Arc<dyn PhysicalExpr>)>,
    op: Operator,
    schema: &Schema,
) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
    let join = |left: Arc<dyn PhysicalExpr>, right| {
        Arc::new(BinaryExpr::new(left, op, right)) as Arc<dyn PhysicalExpr>
    };
    let mut changed = false;
    // Groups of operands that are evaluated together: each but the first starts with one that can fail.
    let mut groups: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
    for (can_fail, operand) in operands {
        let operand = rewrite(&operand, schema)?;
        changed |= operand.transformed;
        match groups.pop() {
            Some(group) if can_fail => groups.extend([group, operand.data]),
            Some(group) => groups.push(join(group, operand.data)),
            None => groups.push(operand.data),
        }
    }
    changed |= groups.len() > 1;
    let mut rest: Option<Arc<dyn PhysicalExpr>> = None;
    for group in groups.into_iter().rev() {
        rest = Some(match rest {
            Some(rest) => join(Arc::clone(&group), where_undecided(group, op, rest)?),
            None => group,
        });
    }
    Ok(Transformed::new_transformed(rest.unwrap_or_else(|| lit(op == Operator::And)), changed))
}

/// The operand `rest`, in rows in which `decider` does not decide the result.
fn where_undecided(
    decider: Arc<dyn PhysicalExpr>,
    op: Operator,
    rest: Arc<dyn PhysicalExpr>,
) -> Result<Arc<dyn PhysicalExpr>> {
    let deciding = lit(op == Operator::Or);
    let undecided = BinaryExpr::new(decider, Operator::IsDistinctFrom, Arc::clone(&deciding));
    Ok(Arc::new(CaseExpr::try_new(None, vec![(Arc::new(undecided), rest)], Some(deciding))?))
}

/// Whether the evaluation of an expression may fail in a row. A CASE counts as one that does not: its conditions protect its
/// values.
fn can_fail(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<bool> {
    let mut found = false;
    expr.apply(|part| {
        if part.is::<CaseExpr>() {
            return Ok(TreeNodeRecursion::Jump);
        }
        if let Some(binary) = part.downcast_ref::<BinaryExpr>() {
            found |= matches!(binary.op(), Operator::Divide | Operator::Modulo)
                && !binary.left().data_type(schema)?.is_floating()
                && !is_safe_divisor(binary.right());
        } else if let Some(cast) = part.downcast_ref::<CastExpr>() {
            found |=
                !cast.cast_options().safe && !is_total(&cast.expr().data_type(schema)?, cast.cast_type());
        } else if let Some(call) = part.downcast_ref::<ScalarFunctionExpr>() {
            found |= function_can_fail(call, schema)?;
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether no integer overflows when it is divided by this.
fn is_safe_divisor(divisor: &Arc<dyn PhysicalExpr>) -> bool {
    let Some(divisor) = divisor.downcast_ref::<Literal>().map(Literal::value) else { return false };
    let data_type = divisor.data_type();
    let is =
        |number| ScalarValue::Int64(Some(number)).cast_to(&data_type).is_ok_and(|other| other == *divisor);
    !divisor.is_null() && !is(0) && !is(-1)
}

/// Whether a type has all values of another.
fn is_total(from: &DataType, to: &DataType) -> bool {
    let bits = |integer: &DataType| integer.primitive_width().unwrap_or(0);
    match (from, to) {
        (DataType::Null, _) => true,
        (from, to) if from == to || from.is_string() && to.is_string() => true,
        (DataType::Dictionary(_, values), to) => is_total(values, to),
        (from, to) if from.is_integer() && to.is_integer() => {
            match (from.is_signed_integer(), to.is_signed_integer()) {
                (true, true) | (false, false) => bits(from) <= bits(to),
                (false, true) => bits(from) < bits(to),
                (true, false) => false,
            }
        }
        (from, to) if from.is_numeric() || *from == DataType::Boolean => to.is_floating() || to.is_string(),
        (from, to) => from.is_temporal() && (to.is_temporal() || to.is_string()),
    }
}

fn function_can_fail(call: &ScalarFunctionExpr, schema: &Schema) -> Result<bool> {
    if let Some(fused) = call.fun().inner().downcast_ref::<FusedFunction>() {
        return Ok(fused.program().can_trap());
    }
    Ok(match call.fun().name() {
        "abs" => match call.args().first() {
            Some(argument) => !argument.data_type(schema)?.is_floating(),
            None => false,
        },
        "sqrt" | "power" | "factorial" | "gcd" | "lcm" | "chr" | "decode" | "repeat" | "make_date"
        | "make_time" => true,
        name => name.starts_with("to_") && !matches!(name, "to_char" | "to_hex" | "to_local_time"),
    })
}
