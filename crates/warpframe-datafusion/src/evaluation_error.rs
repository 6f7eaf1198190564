//! Errors of expressions that have no value in a row, and the expressions of a query that may be the cause.

use std::error::Error;
use std::fmt;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};
use serde::{Deserialize, Serialize};
use warpframe_ir::{RowTrap, Trap};

use crate::errors::arrow_message;
use crate::expression_text::expression_text;
use crate::functions::SqlFunction;

/// The number of expressions that a message names.
const MAX_NAMED: usize = 3;

/// Why an expression has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationErrorKind {
    /// The square root of a negative number.
    SqrtOfNegative,
    /// Zero raised to a negative power.
    ZeroToNegativePower,
    /// Division by zero, or the remainder of one.
    DivideByZero,
    /// A result that its type does not have.
    Overflow,
    /// A value that the target type of a cast does not have, or a text that is none.
    Cast,
}

/// The error of an expression. DataFusion's errors do not say which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationError {
    /// Why it has no value.
    pub kind: EvaluationErrorKind,
    /// What has happened.
    pub message: String,
    /// The texts of the expressions of the query that can fail in this way; empty if they are not known.
    pub expressions: Vec<String>,
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.expressions[..] {
            [] => Ok(()),
            [only] => write!(f, ", in {only}"),
            [others @ .., last] if others.len() < MAX_NAMED => {
                write!(f, ", in {} or {last}", others.join(" or "))
            }
            many => write!(f, ", in one of {}, ...", many[..MAX_NAMED].join(", ")),
        }
    }
}

impl Error for EvaluationError {}

impl From<EvaluationError> for DataFusionError {
    fn from(error: EvaluationError) -> Self {
        Self::External(Box::new(error))
    }
}

impl EvaluationError {
    /// The evaluation error behind an error of DataFusion; `None` for errors of other kinds.
    pub fn of(error: &DataFusionError) -> Option<Self> {
        match error.find_root() {
            DataFusionError::External(inner) => inner.downcast_ref::<Self>().cloned(),
            DataFusionError::ArrowError(error, _) => Self::of_arrow(error),
            DataFusionError::Execution(message) => {
                let kind = EvaluationErrorKind::of_message(message)?;
                Some(Self { kind, message: message.clone(), expressions: Vec::new() })
            }
            _ => None,
        }
    }

    /// The evaluation error that an error of Arrow is; `None` for errors of other kinds.
    pub fn of_arrow(error: &ArrowError) -> Option<Self> {
        let kind = EvaluationErrorKind::of(error)?;
        Some(Self { kind, message: arrow_message(error), expressions: Vec::new() })
    }
}

impl EvaluationErrorKind {
    fn of(error: &ArrowError) -> Option<Self> {
        match error {
            ArrowError::DivideByZero => Some(Self::DivideByZero),
            ArrowError::ArithmeticOverflow(_) => Some(Self::Overflow),
            ArrowError::CastError(_) | ArrowError::ParseError(_) => Some(Self::Cast),
            ArrowError::ComputeError(_) | ArrowError::InvalidArgumentError(_) => {
                Self::of_message(&arrow_message(error))
            }
            _ => None,
        }
    }

    /// DataFusion's functions have these errors as texts only.
    fn of_message(message: &str) -> Option<Self> {
        let is = |trap: Trap| message == RowTrap::from(trap).to_string();
        match () {
            () if is(Trap::SqrtOfNegative) => Some(Self::SqrtOfNegative),
            () if is(Trap::ZeroToNegativePower) => Some(Self::ZeroToNegativePower),
            () if message.contains("Array overflow on abs(") => Some(Self::Overflow),
            () if message.contains(" to store in a Decimal") => Some(Self::Cast),
            () => None,
        }
    }

    /// Whether an expression itself, without those that it consists of, can fail in this way.
    fn is_possible(self, expr: &Expr, schema: &DFSchema) -> bool {
        let data_type = |expr: &Expr| expr.get_type(schema).unwrap_or(DataType::Null);
        match (self, expr) {
            (_, Expr::ScalarFunction(call)) => {
                let argument = call.args.first();
                match call.func.inner().downcast_ref::<SqlFunction>() {
                    Some(function) => function
                        .parameter_schema()
                        .is_ok_and(|schema| self.is_possible_within(function.body(), &schema)),
                    None => match self {
                        Self::SqrtOfNegative => {
                            call.name() == "sqrt" && !argument.is_some_and(is_not_negative)
                        }
                        Self::ZeroToNegativePower => matches!(call.name(), "power" | "pow"),
                        Self::Overflow => {
                            call.name() == "abs" && argument.is_some_and(|one| !data_type(one).is_floating())
                        }
                        Self::Cast => {
                            // `to_timestamp`, `to_date` and others parse texts.
                            call.name().starts_with("to_")
                                && argument.is_some_and(|one| data_type(one).is_string())
                        }
                        Self::DivideByZero => false,
                    },
                }
            }
            (Self::DivideByZero, Expr::BinaryExpr(binary)) => {
                matches!(binary.op, Operator::Divide | Operator::Modulo)
                    && !data_type(expr).is_floating()
                    && !is_not_zero(&binary.right)
            }
            (Self::Overflow, Expr::BinaryExpr(binary)) => {
                let result = data_type(expr);
                match binary.op {
                    // Those of integers wrap around.
                    Operator::Plus | Operator::Minus | Operator::Multiply => {
                        !result.is_integer() && !result.is_floating()
                    }
                    Operator::Divide | Operator::Modulo => !result.is_floating(),
                    _ => false,
                }
            }
            (Self::Overflow, Expr::Negative(operand)) => !data_type(operand).is_floating(),
            (Self::Cast, Expr::Cast(cast)) => !is_lossless(&data_type(&cast.expr), cast.field.data_type()),
            _ => false,
        }
    }

    fn is_possible_within(self, expr: &Expr, schema: &DFSchema) -> bool {
        expr.exists(|part| Ok(self.is_possible(part, schema))).unwrap_or(false)
    }
}

fn is_not_negative(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(number, _) if *number >= zero(number))
}

fn is_not_zero(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(number, _) if *number != zero(number) && !number.is_null())
}

fn zero(like: &ScalarValue) -> ScalarValue {
    ScalarValue::new_zero(&like.data_type()).unwrap_or(ScalarValue::Null)
}

/// Whether every value of a type is one of another.
fn is_lossless(from: &DataType, to: &DataType) -> bool {
    let bits = |data_type: &DataType| data_type.primitive_width().unwrap_or(0);
    let is_text =
        |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    from == to
        || from.is_null()
        || is_text(to)
        || (from.is_numeric() && to.is_floating())
        || (from.is_signed_integer() && to.is_signed_integer() && bits(from) <= bits(to))
        || (from.is_unsigned_integer() && to.is_unsigned_integer() && bits(from) <= bits(to))
        || (from.is_unsigned_integer() && to.is_signed_integer() && bits(from) < bits(to))
}

/// The error of a query whose execution has failed. If an expression has no value in a row, it names those expressions of the
/// query that can be the cause; other errors stay as they are.
pub fn locate_error(error: DataFusionError, plan: &LogicalPlan, state: &SessionState) -> DataFusionError {
    let Some(mut located) = EvaluationError::of(&error) else { return error };
    if located.expressions.is_empty() {
        // Casts that the types need are shown where they are the cause.
        let coerced = match located.kind {
            EvaluationErrorKind::Cast => {
                state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {}).ok()
            }
            _ => None,
        };
        // The message says enough without an expression.
        located.expressions =
            failing_expressions(coerced.as_ref().unwrap_or(plan), located.kind).unwrap_or_default();
    }
    located.into()
}

/// The texts of the expressions of a plan that can fail in this way, one more than a message names at most.
fn failing_expressions(plan: &LogicalPlan, kind: EvaluationErrorKind) -> Result<Vec<String>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if kind.is_possible(part, &schema) {
                    let text = expression_text(part)?;
                    if !found.contains(&text) {
                        found.push(text);
                    }
                }
                let is_enough = found.len() > MAX_NAMED;
                Ok(if is_enough { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    })?;
    Ok(found)
}
