//! The result of lowering, and the reasons why there is none.

use std::fmt;

use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;

use super::work::Work;
use warpframe_ir::ScalarType;
use warpframe_ir::program::Program;

/// A program with one output, and the expressions whose values are its inputs.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The program.
    pub program: Program,
    /// The expression of each input, in order.
    pub arguments: Vec<Expr>,
    /// The operations that the program computes in one pass.
    pub work: Work,
}

/// The reason why an expression cannot be lowered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotLowered {
    /// Programs have no values of the expression's type.
    Type(DataType),
    /// The root of the expression has no lowering.
    NoOp(String),
    /// A conditional subexpression, which DataFusion evaluates in some rows only, may raise an error: a program would
    /// evaluate it in all rows.
    Conditional(String),
    /// The expression raises an error in every row.
    AlwaysFails(String),
    /// The expression is not valid for the schema.
    Invalid(String),
}

impl fmt::Display for NotLowered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(data_type) => write!(f, "programs have no values of type {data_type}"),
            Self::NoOp(what) => write!(f, "there is no op for {what}"),
            Self::Conditional(what) => {
                write!(f, "{what} may not be evaluated in every row, and could fail there")
            }
            Self::AlwaysFails(error) => write!(f, "it always fails: {error}"),
            Self::Invalid(error) => f.write_str(error),
        }
    }
}

pub(super) type LowerResult<T> = Result<T, NotLowered>;

/// The type that the values of an expression's type have in a program; `None` for types without one. `UInt64` has none: it
/// is a type of inputs only, as which it is rounded.
pub(super) fn scalar_type(data_type: &DataType) -> Option<ScalarType> {
    match data_type {
        DataType::UInt64 => None,
        other => ScalarType::of(other),
    }
}

/// What an expression without a lowering is.
pub(super) fn describe(expr: &Expr) -> String {
    match expr {
        Expr::ScalarFunction(call) => format!("the function {} of these types", call.func.name()),
        Expr::Column(_) => "a column alone".to_owned(),
        Expr::BinaryExpr(binary) => format!("{} of these types", binary.op),
        Expr::Cast(_) | Expr::TryCast(_) => "a cast between these types".to_owned(),
        other => other.variant_name().to_owned(),
    }
}
