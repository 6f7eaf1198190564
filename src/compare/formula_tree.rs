//! The expression tree of a formula or a condition: JSON that `benches/peers/formula.py` writes in the language of each
//! external tool.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use serde::Serialize;

use warpframe_ir::ops::{Binary, Unary};

/// An expression over Float64 columns. As JSON: `{"column": "x"}`, `{"constant": 0.5}`, or an operation with its operands,
/// `{"op": "add", "args": [.., ..]}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FormulaTree {
    /// The value of a column.
    Column {
        /// Its name.
        column: String,
    },
    /// A finite number. JSON has the shortest digits that are this number again when they are read.
    Number {
        /// The number.
        constant: f64,
    },
    /// A Boolean.
    Boolean {
        /// The Boolean.
        constant: bool,
    },
    /// An operation.
    Operation {
        /// The name: that of a function in the op table, `greatest`, `least`, `is_nan`; `add`, `subtract`, `multiply`,
        /// `divide`, `remainder`, `negate`; `lt`, `le`, `gt`, `ge`, `eq`, `ne`; `and`, `or`, `not`; or `case`, whose operands
        /// are a condition and a value for each branch, and the value of the other rows.
        op: &'static str,
        /// The operands.
        args: Vec<Self>,
    },
}

/// Why an expression has no tree: the part that no tool has.
pub type NoTree = String;

impl FormulaTree {
    /// The tree of an expression after type coercion. Its constant parts must be literals.
    ///
    /// # Errors
    /// A part is not an operation on Float64 numbers or Booleans that external tools have too, such as a cast to an integer
    /// or a function of warpframe.
    pub fn new(expr: &Expr) -> Result<Self, NoTree> {
        match expr {
            Expr::Alias(alias) => Self::new(&alias.expr),
            Expr::Column(column) => Ok(Self::Column { column: column.name.clone() }),
            Expr::Literal(ScalarValue::Float64(Some(number)), _) if number.is_finite() => {
                Ok(Self::Number { constant: *number })
            }
            Expr::Literal(ScalarValue::Boolean(Some(boolean)), _) => Ok(Self::Boolean { constant: *boolean }),
            Expr::Negative(inner) => Self::operation("negate", [&**inner]),
            Expr::Not(inner) => Self::operation("not", [&**inner]),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match operator(*op) {
                Some(name) => Self::operation(name, [&**left, &**right]),
                None => Err(op.to_string()),
            },
            Expr::Between(Between { expr, negated, low, high }) => {
                let within =
                    [Self::operation("ge", [&**expr, &**low])?, Self::operation("le", [&**expr, &**high])?];
                let within = Self::of("and", within.into());
                Ok(if *negated { Self::of("not", vec![within]) } else { within })
            }
            Expr::Case(case) => Self::case(case),
            Expr::ScalarFunction(call) => Self::call(call),
            other => Err(other.to_string()),
        }
    }

    fn of(op: &'static str, args: Vec<Self>) -> Self {
        Self::Operation { op, args }
    }

    fn operation<'e>(op: &'static str, args: impl IntoIterator<Item = &'e Expr>) -> Result<Self, NoTree> {
        Ok(Self::of(op, args.into_iter().map(Self::new).collect::<Result<_, _>>()?))
    }

    fn case(case: &Case) -> Result<Self, NoTree> {
        let Some(otherwise) = &case.else_expr else { return Err("CASE without ELSE".to_owned()) };
        let mut args = Vec::with_capacity(2 * case.when_then_expr.len() + 1);
        for (when, then) in &case.when_then_expr {
            args.push(match &case.expr {
                Some(operand) => Self::operation("eq", [&**operand, &**when])?,
                None => Self::new(when)?,
            });
            args.push(Self::new(then)?);
        }
        args.push(Self::new(otherwise)?);
        Ok(Self::of("case", args))
    }

    fn call(call: &ScalarFunction) -> Result<Self, NoTree> {
        let zero = Self::Number { constant: 0.0 };
        match (call.func.name(), &call.args[..]) {
            ("greatest", args) => Self::operation("greatest", args),
            ("least", args) => Self::operation("least", args),
            ("isnan", [x]) => Self::operation("is_nan", [x]),
            ("iszero", [x]) => Ok(Self::of("eq", vec![Self::new(x)?, zero])),
            ("nanvl", [x, y]) => {
                Ok(Self::of("case", vec![Self::operation("is_nan", [x])?, Self::new(y)?, Self::new(x)?]))
            }
            ("log", [x]) => Self::operation("log10", [x]),
            ("log", [base, x]) => {
                let divisor = match Self::new(base)? {
                    Self::Number { constant } => Self::Number { constant: constant.ln() },
                    base => Self::of("ln", vec![base]),
                };
                Ok(Self::of("divide", vec![Self::operation("ln", [x])?, divisor]))
            }
            (name, args) => match function(name, args.len()) {
                Some(name) => Self::operation(name, args),
                None => Err(name.to_owned()),
            },
        }
    }
}

/// The function of the op table with a name and a number of operands.
fn function(name: &str, operands: usize) -> Option<&'static str> {
    let names: Vec<_> = match operands {
        1 => Unary::ALL.iter().map(|op| op.info().name).collect(),
        2 => Binary::ALL.iter().map(|op| op.info().name).collect(),
        _ => return None,
    };
    names.into_iter().find(|known| *known == name)
}

fn operator(op: Operator) -> Option<&'static str> {
    Some(match op {
        Operator::Plus => "add",
        Operator::Minus => "subtract",
        Operator::Multiply => "multiply",
        Operator::Divide => "divide",
        Operator::Modulo => "remainder",
        Operator::Lt => "lt",
        Operator::LtEq => "le",
        Operator::Gt => "gt",
        Operator::GtEq => "ge",
        Operator::Eq => "eq",
        Operator::NotEq => "ne",
        Operator::And => "and",
        Operator::Or => "or",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::super::formula::Formula;
    use super::*;

    fn json(expression: &str) -> String {
        let tree = Formula::new(Some(expression)).unwrap().tree.unwrap();
        serde_json::to_string(&tree).unwrap()
    }

    fn reason(expression: &str) -> String {
        Formula::new(Some(expression)).unwrap().tree.unwrap_err()
    }

    #[test]
    fn formulas_become_trees_with_exact_constants() {
        assert_eq!(
            json("x * 0.1 + 1e-300"),
            r#"{"op":"add","args":[{"op":"multiply","args":[{"column":"x"},{"constant":0.1}]},{"constant":1e-300}]}"#
        );
        assert_eq!(
            json("log(2, x)"),
            format!(
                r#"{{"op":"divide","args":[{{"op":"ln","args":[{{"column":"x"}}]}},{{"constant":{}}}]}}"#,
                2f64.ln()
            )
        );
        // Integers are those of SQL: their quotient is one too, and they are converted to Float64 beside a column.
        assert_eq!(json("7 / 2 * x"), r#"{"op":"multiply","args":[{"constant":3.0},{"column":"x"}]}"#);
        assert_eq!(
            json("CASE WHEN x < y AND NOT y = 2 THEN power(z, -1.7) ELSE greatest(x, y, 3) END"),
            r#"{"op":"case","args":[{"op":"and","args":[{"op":"lt","args":[{"column":"x"},{"column":"y"}]},"#
                .to_owned()
                + r#"{"op":"not","args":[{"op":"eq","args":[{"column":"y"},{"constant":2.0}]}]}]},"#
                + r#"{"op":"power","args":[{"column":"z"},{"constant":-1.7}]},"#
                + r#"{"op":"greatest","args":[{"column":"x"},{"column":"y"},{"constant":3.0}]}]}"#
        );
    }

    #[test]
    fn the_default_formula_is_a_tree_like_any_other() {
        let log3 = Formula::new(None).unwrap();
        assert_eq!(log3.tree, Formula::new(Some("ln(x) * ln(y) * ln(z)")).unwrap().tree);
        assert!(log3.tree.is_ok());
    }

    #[test]
    fn every_function_of_floats_in_the_op_table_has_a_tree() {
        let named = |name: &str| name.starts_with(char::is_alphabetic);
        for op in Unary::ALL.iter().filter(|op| op.info().floats && named(op.info().name)) {
            let name = op.info().name;
            let expected = format!(r#"{{"op":"{name}","args":[{{"column":"x"}}]}}"#);
            assert_eq!(json(&format!("{name}(x)")), expected);
        }
        for op in Binary::ALL.iter().filter(|op| op.info().floats && named(op.info().name)) {
            let name = op.info().name;
            let expected = format!(r#"{{"op":"{name}","args":[{{"column":"x"}},{{"column":"y"}}]}}"#);
            assert_eq!(json(&format!("{name}(x, y)")), expected);
        }
    }

    #[test]
    fn what_no_tool_has_is_named() {
        assert_eq!(reason("log3(x, y, z) + 1"), "log3");
        assert!(reason("CAST(CAST(x AS BIGINT) AS DOUBLE) + y").contains("CAST"));
    }
}
