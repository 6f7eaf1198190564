//! Expressions as texts for users.

use std::fmt;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::Expr;

/// The text of an expression, with unqualified columns, and numbers and texts without their types.
///
/// # Errors
/// The expression cannot be traversed.
pub fn expression_text(expr: &Expr) -> Result<String> {
    let text = |text: String| Transformed::yes(Expr::Column(Column::new_unqualified(text)));
    let unqualified = expr.clone().transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => text(column.name),
            Expr::Literal(ScalarValue::Float64(Some(number)), _) => text(short(number)),
            Expr::Literal(ScalarValue::Float32(Some(number)), _) => text(short(number)),
            Expr::Literal(number, _) if number.data_type().is_numeric() => text(number.to_string()),
            Expr::Literal(
                ScalarValue::Utf8(Some(value))
                | ScalarValue::LargeUtf8(Some(value))
                | ScalarValue::Utf8View(Some(value)),
                _,
            ) => text(format!("'{}'", value.replace('\'', "''"))),
            // Operands come first, so they are texts already.
            Expr::Negative(operand) => match *operand {
                Expr::Column(column) => text(format!("-{}", column.name)),
                other => text(format!("-({other})")),
            },
            other => Transformed::no(other),
        })
    })?;
    Ok(unqualified.data.to_string())
}

/// The digits of a number, or the form with an exponent, such as `1e300`, if there are many.
fn short(number: impl fmt::Display + fmt::LowerExp) -> String {
    const MANY: usize = 24;
    let digits = number.to_string();
    if digits.len() > MANY { format!("{number:e}") } else { digits }
}
