//! The logical rule that gives equality one meaning: that of `=`.

use std::sync::{Arc, LazyLock};

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, Case, InList, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, ScalarUDF, when};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::prelude::lit;
use warpframe_ir::Scalar;
use warpframe_ir::instruction::{Instruction, Value};
use warpframe_ir::ops::Binary;

use super::has_expression::has_expression;
use crate::functions::FusedFunction;

/// Rewrites what SQL defines by `=` and DataFusion evaluates otherwise.
///
/// - Zeros of both signs are equal, but DataFusion compares bits in the places below (apache/datafusion#22826). Operands `x`
///   become `x + 0.0`, which is `x` with a positive zero.
///
///   ```text
///   x IN (0.0, 1.0)               x IN (0.0, -0.0, 1.0)
///   CASE x WHEN y THEN ...        CASE x + 0.0 WHEN y + 0.0 THEN ...
///   nullif(x, y)                  CASE WHEN x = y THEN NULL ELSE x END
///   count(DISTINCT x)             count(DISTINCT x + 0.0)
///   rank() OVER (PARTITION BY x ORDER BY y)
///                                 rank() OVER (PARTITION BY x + 0.0 ORDER BY y + 0.0)
///   Inner Join: t.x = u.y         Inner Join: t.x + 0.0 = u.y + 0.0
///   ```
///
///   Hash joins find equal zeros by themselves, but also filter the rows of one side by an IN list of the other one's values.
///
/// - Elements of IN lists that are not constants are compared by `=`, because DataFusion takes those for constants that it
///   can evaluate without rows, such as CASE.
///
///   ```text
///   x IN (1, CASE WHEN b THEN 2 ELSE 3 END)    x IN (1) OR x = CASE WHEN b THEN 2 ELSE 3 END
///   ```
///
/// The rule runs after `Fuse`, since fused expressions have this equality anyway.
#[derive(Debug, Default)]
pub struct Equality;

impl OptimizerRule for Equality {
    fn name(&self) -> &str {
        "equality"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let has_keys = matches!(&plan, LogicalPlan::Join(join) if !join.on.is_empty());
        if !has_keys && !has_expression(&plan, is_equality)? {
            return Ok(Transformed::no(plan));
        }
        let schema = match &plan {
            // Its filters may read columns that it does not return.
            LogicalPlan::TableScan(scan) => {
                DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?
            }
            other => merge_schema(&other.inputs()),
        };
        let names = NamePreserver::new(&plan);
        let mut plan = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| rewrite(expr, &schema))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })?;
        if let LogicalPlan::Join(join) = &mut plan.data {
            for (left, right) in &mut join.on {
                for (key, side) in [(left, join.left.schema()), (right, join.right.schema())] {
                    plan.transformed |= canonicalize(key, side) && qualify(key, side)?;
                }
            }
        }
        Ok(plan)
    }
}

/// Adds the relations of columns, which the names of computed join keys need.
fn qualify(key: &mut Expr, side: &DFSchema) -> Result<bool> {
    let qualified = std::mem::take(key).transform(|part| match &part {
        Expr::Column(column) if column.relation.is_none() => {
            let found = side.qualified_field_with_unqualified_name(&column.name).map(Expr::from);
            Ok(found.map_or_else(|_| Transformed::no(part), Transformed::yes))
        }
        _ => Ok(Transformed::no(part)),
    })?;
    *key = qualified.data;
    Ok(true)
}

/// Whether [`rewrite`] may replace an expression, by its form.
fn is_equality(expr: &Expr) -> bool {
    match expr {
        Expr::InList(_) | Expr::WindowFunction(_) => true,
        Expr::Case(case) => case.expr.is_some(),
        Expr::ScalarFunction(call) => call.func == *NULLIF,
        Expr::AggregateFunction(function) => is_distinct(function),
        _ => false,
    }
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::InList(list) => Ok(in_list(list)),
        Expr::Case(case) => Ok(case_with_operand(case, schema)),
        Expr::ScalarFunction(call) if call.func == *NULLIF && !call.args.iter().any(Expr::is_volatile) => {
            match &call.args[..] {
                [x, y] if is_float(x, schema) => {
                    let null = ScalarValue::try_new_null(&x.get_type(schema)?)?;
                    let (x, y) = (x.clone(), y.clone());
                    let case = when(x.clone().eq(y), Expr::Literal(null, None)).otherwise(x)?;
                    Ok(Transformed::yes(case))
                }
                _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
            }
        }
        Expr::AggregateFunction(mut function) => {
            let changed = distinct_arguments(&mut function, schema);
            Ok(Transformed::new_transformed(Expr::AggregateFunction(function), changed))
        }
        Expr::WindowFunction(mut function) => {
            let changed = window_keys(&mut function, schema);
            Ok(Transformed::new_transformed(Expr::WindowFunction(function), changed))
        }
        other => Ok(Transformed::no(other)),
    }
}

static NULLIF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(datafusion::functions::core::nullif);

fn is_float(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| data_type.is_floating())
}

fn in_list(list: InList) -> Transformed<Expr> {
    let InList { expr, list, negated } = list;
    let (mut constants, variables): (Vec<_>, Vec<_>) =
        list.into_iter().partition(|element| element.column_refs().is_empty());
    let mut zeros = constants.iter().filter_map(|element| match element {
        Expr::Literal(literal, _) => zeros_of_both_signs(literal),
        _ => None,
    });
    let mut changed = false;
    if let Some(zeros) = zeros.next() {
        for zero in zeros.map(|zero| Expr::Literal(zero, None)) {
            if !constants.contains(&zero) {
                constants.push(zero);
                changed = true;
            }
        }
    }
    if variables.is_empty() || expr.is_volatile() {
        constants.extend(variables);
        let list = Expr::InList(InList::new(expr, constants, negated));
        return Transformed::new_transformed(list, changed);
    }
    let mut found = match constants.is_empty() {
        true => None,
        false => Some(Expr::InList(InList::new(expr.clone(), constants, false))),
    };
    for element in variables {
        let equal = expr.as_ref().clone().eq(element);
        found = Some(match found {
            Some(found) => found.or(equal),
            None => equal,
        });
    }
    let found = found.unwrap_or_else(|| lit(false));
    Transformed::yes(if negated { Expr::Not(Box::new(found)) } else { found })
}

/// If a literal is a floating-point zero, that of either sign.
fn zeros_of_both_signs(literal: &ScalarValue) -> Option<[ScalarValue; 2]> {
    let zero = canonical_literal(literal)?;
    let negative = zero.arithmetic_negate().ok()?;
    Some([zero, negative])
}

/// If a literal is a floating-point zero, the positive one.
fn canonical_literal(literal: &ScalarValue) -> Option<ScalarValue> {
    let zero = ScalarValue::new_zero(&literal.data_type()).ok()?;
    let is_zero = match literal {
        ScalarValue::Float16(Some(number)) => f32::from(*number) == 0.0,
        ScalarValue::Float32(Some(number)) => *number == 0.0,
        ScalarValue::Float64(Some(number)) => *number == 0.0,
        _ => false,
    };
    is_zero.then_some(zero)
}

/// The value of a floating-point expression with a positive zero, if it is not known to have one.
fn canonicalize(expr: &mut Expr, schema: &DFSchema) -> bool {
    if let Expr::Literal(literal, _) = expr {
        return match canonical_literal(literal) {
            Some(zero) if zero != *literal => {
                *literal = zero;
                true
            }
            _ => false,
        };
    }
    let Ok(data_type) = expr.get_type(schema) else { return false };
    if !data_type.is_floating() || adds_zero(expr) {
        return false;
    }
    let Ok(zero) = ScalarValue::new_zero(&data_type) else { return false };
    *expr = std::mem::take(expr) + Expr::Literal(zero, None);
    true
}

/// The positive zeros of programs.
const ZEROS: [Scalar; 2] = [Scalar::F32(0.0), Scalar::F64(0.0)];

/// Whether an expression is a sum with a positive zero: one of an earlier pass of the optimizer, which may be fused by now.
fn adds_zero(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::Plus, right, .. }) => {
            matches!(&**right, Expr::Literal(literal, _) if canonical_literal(literal).as_ref() == Some(literal))
        }
        Expr::ScalarFunction(call) => {
            let Some(fused) = call.func.inner().downcast_ref::<FusedFunction>() else { return false };
            let program = fused.program();
            // Scalars are equal if their bits are.
            let is_zero = |number: Value| matches!(program.definition(number), Instruction::Const(constant) if ZEROS.contains(constant));
            program.outputs().iter().all(|output| {
                matches!(program.definition(output.value), Instruction::Binary(Binary::Add, _, zero) if is_zero(*zero))
            })
        }
        _ => false,
    }
}

fn case_with_operand(mut case: Case, schema: &DFSchema) -> Transformed<Expr> {
    let mut changed = false;
    if let Some(operand) = &mut case.expr {
        changed |= canonicalize(operand, schema);
        for (value, _) in &mut case.when_then_expr {
            changed |= canonicalize(value, schema);
        }
    }
    Transformed::new_transformed(Expr::Case(case), changed)
}

fn is_distinct(function: &AggregateFunction) -> bool {
    function.params.distinct || function.func.name() == "approx_distinct"
}

/// Aggregate functions of distinct values compare them by their bits.
fn distinct_arguments(function: &mut AggregateFunction, schema: &DFSchema) -> bool {
    if !is_distinct(function) {
        return false;
    }
    let mut changed = false;
    // The keys of an order have to be arguments.
    let keys = function.params.order_by.iter_mut().map(|key| &mut key.expr);
    for argument in function.params.args.iter_mut().chain(keys) {
        changed |= canonicalize(argument, schema);
    }
    changed
}

/// Window functions find partitions and peers by the total order.
fn window_keys(function: &mut WindowFunction, schema: &DFSchema) -> bool {
    let params = &mut function.params;
    let keys = params.partition_by.iter_mut().chain(params.order_by.iter_mut().map(|key| &mut key.expr));
    let mut changed = false;
    for key in keys {
        changed |= canonicalize(key, schema);
    }
    changed
}
