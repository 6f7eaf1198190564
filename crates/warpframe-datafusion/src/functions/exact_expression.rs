//! Expressions with the functions of [`exact`](super::exact) instead of DataFusion's.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, ScalarUDF, cast};

use super::exact::{exact_log, exact_round, exact_trunc};

/// The expression, after coercion of types, with all functions replaced.
pub(crate) fn exact_expression(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let replaced = match &expr {
            Expr::ScalarFunction(call) => replacement(call, schema)?,
            Expr::Negative(inner) if is_bit_operation(inner) => {
                let zero = ScalarValue::new_zero(&inner.get_type(schema)?)?;
                Some(Expr::Literal(zero, None) - inner.as_ref().clone())
            }
            _ => None,
        };
        Ok(replaced.map_or_else(|| Transformed::no(expr), Transformed::yes))
    })
}

/// Whether [`exact_expression`] may replace an expression, by its form.
pub(crate) fn is_inexact(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(call) => [&*LOG, &*ROUND, &*TRUNC].contains(&&call.func),
        Expr::Negative(inner) => is_bit_operation(inner),
        _ => false,
    }
}

fn is_bit_operation(expr: &Expr) -> bool {
    use Operator::{BitwiseAnd, BitwiseOr, BitwiseShiftLeft, BitwiseShiftRight, BitwiseXor};
    let Expr::BinaryExpr(binary) = expr else { return false };
    matches!(binary.op, BitwiseAnd | BitwiseOr | BitwiseXor | BitwiseShiftLeft | BitwiseShiftRight)
}

static LOG: LazyLock<Arc<ScalarUDF>> = LazyLock::new(datafusion::functions::math::log);
static ROUND: LazyLock<Arc<ScalarUDF>> = LazyLock::new(datafusion::functions::math::round);
static TRUNC: LazyLock<Arc<ScalarUDF>> = LazyLock::new(datafusion::functions::math::trunc);

fn replacement(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    let is_float = |expr: &Expr| -> Result<Option<DataType>> {
        let data_type = expr.get_type(schema)?;
        Ok(matches!(data_type, DataType::Float32 | DataType::Float64).then_some(data_type))
    };
    Ok(match &call.args[..] {
        [x] if call.func == *LOG => match is_float(x)? {
            Some(data_type) => {
                let ten = Expr::Literal(ScalarValue::new_ten(&data_type)?, None);
                Some(exact_log().call(vec![ten, x.clone()]))
            }
            None => None,
        },
        [base, x] if call.func == *LOG => match (is_float(base)?, is_float(x)?) {
            (Some(base_type), Some(data_type)) if base_type == data_type => {
                Some(exact_log().call(vec![base.clone(), x.clone()]))
            }
            _ => None,
        },
        [x, n] if call.func == *ROUND || call.func == *TRUNC => match is_float(x)? {
            Some(data_type) => {
                let function = if call.func == *ROUND { exact_round() } else { exact_trunc() };
                Some(function.call(vec![x.clone(), cast(places(n, schema)?, data_type)]))
            }
            None => None,
        },
        _ => None,
    })
}

/// The number of decimal places in its own type, which DataFusion has cast to one of 32 bits.
fn places(n: &Expr, schema: &DFSchema) -> Result<Expr> {
    if let Expr::Cast(Cast { expr, .. }) = n
        && expr.get_type(schema)?.is_integer()
    {
        return Ok(expr.as_ref().clone());
    }
    Ok(n.clone())
}
