//! The entry of lowering: the program of an expression, or the reason why it has none.

use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;

use super::lowered::{LowerResult, Lowered, NotLowered, describe, scalar_type};
use super::lowerer::Lowerer;
use crate::functions::ProgramFunction;

/// Lowers an expression after type coercion and simplification, as the optimizer leaves it. The program's output has the
/// expression's type. A subexpression without a lowering becomes an input of the program; DataFusion evaluates it before
/// the program runs.
///
/// # Errors
/// The root of the expression has no lowering, or a conditional subexpression may raise an error; see [`NotLowered`].
pub fn lower(expr: &Expr, schema: &DFSchema) -> Result<Lowered, NotLowered> {
    let mut lowerer = Lowerer::new(schema);
    let data_type = lowerer.data_type(expr)?;
    let output = match scalar_type(&data_type) {
        Some(_) => lowerer.lower_root(expr)?,
        None => return Err(NotLowered::Type(data_type)),
    };
    lowerer.finish(output, data_type)
}

/// Lowers a call of a [`ProgramFunction`]. The arguments are not lowered: each is an input of the program.
///
/// # Errors
/// The expression is not a call of a program function, or the program cannot be built.
pub fn lower_call(expr: &Expr, schema: &DFSchema) -> Result<Lowered, NotLowered> {
    let Expr::ScalarFunction(call) = expr else { return Err(NotLowered::NoOp(describe(expr))) };
    let Some(function) = call.func.inner().downcast_ref::<ProgramFunction>() else {
        return Err(NotLowered::NoOp(describe(expr)));
    };
    let mut lowerer = Lowerer::new(schema);
    let operands =
        call.args.iter().map(|argument| lowerer.input(argument)).collect::<LowerResult<Vec<_>>>()?;
    let output = lowerer.call_program_function(function, &operands)?;
    let data_type = lowerer.data_type(expr)?;
    lowerer.finish(output, data_type)
}
