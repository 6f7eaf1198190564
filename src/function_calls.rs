//! Calls of functions with clauses that do not fit them. DataFusion ignores the clauses of scalar functions, and says that there
//! is no function where a window function is called without `OVER`.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArguments, VisitorMut};
use warpframe_datafusion::{normalized_name, visit_statement};

/// Checks the calls in a statement.
///
/// # Errors
/// A scalar function is called with a clause of an aggregate or window function, or a window function without `OVER`.
pub fn check_function_calls(statement: &mut Statement, state: &SessionState) -> Result<()> {
    match visit_statement(statement, &mut Calls { state }) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Calls<'a> {
    state: &'a SessionState,
}

impl VisitorMut for Calls<'_> {
    type Break = DataFusionError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        match expr {
            Expr::Function(call) => self.check(call),
            Expr::Substring { substring_from: None, substring_for: None, .. } => {
                ControlFlow::Break(plan_datafusion_err!(
                    "substr takes a text and the position of a character: use substr(text, position [, length])"
                ))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Calls<'_> {
    fn check(&self, call: &Function) -> ControlFlow<DataFusionError> {
        let [part] = &call.name.0[..] else { return ControlFlow::Continue(()) };
        let Some(name) = part.as_ident() else { return ControlFlow::Continue(()) };
        let name = normalized_name(name);
        let state = self.state;
        let is_scalar = state.scalar_functions().contains_key(&name);
        let is_window = state.window_functions().contains_key(&name);
        let is_aggregate = state.aggregate_functions().contains_key(&name);
        match clause(call) {
            None if is_window && call.over.is_none() && !is_scalar && !is_aggregate => {
                ControlFlow::Break(plan_datafusion_err!(
                    "{name} is a window function: write {name}(...) OVER (...), with ORDER BY in it for an order"
                ))
            }
            Some(clause) if is_scalar && !is_window && !is_aggregate => {
                ControlFlow::Break(plan_datafusion_err!(
                    "{name} has a value for each row, and cannot be called with {clause}: leave {clause} out"
                ))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// A clause of a call that is not one of scalar functions.
fn clause(call: &Function) -> Option<&'static str> {
    let in_arguments = match &call.args {
        FunctionArguments::List(list) if list.duplicate_treatment.is_some() => Some("DISTINCT or ALL"),
        FunctionArguments::List(list) if !list.clauses.is_empty() => Some("a clause behind its arguments"),
        _ => None,
    };
    let clauses = [
        (call.over.is_some(), "OVER"),
        (call.filter.is_some(), "FILTER"),
        (call.null_treatment.is_some(), "IGNORE or RESPECT NULLS"),
        (!call.within_group.is_empty(), "WITHIN GROUP"),
    ];
    in_arguments.or(clauses.into_iter().find(|(is_used, _)| *is_used).map(|(_, clause)| clause))
}
