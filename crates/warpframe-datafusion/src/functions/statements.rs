//! The statements that define functions: `CREATE FUNCTION` and `DROP FUNCTION`, prepared for DataFusion's
//! planner, and the factory that it calls. DataFusion plans a function's body without any columns, so the
//! parameters' names become placeholders before.

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, not_impl_err, plan_err};
use datafusion::execution::SessionState;
use datafusion::execution::context::{FunctionFactory, RegisterFunction};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{CreateFunction, Expr, ScalarUDF};
use datafusion::prelude::Column;
use datafusion::sql::sqlparser::ast::{
    self, CreateFunctionBody, Ident, ObjectName, ObjectNamePart, Value, visit_expressions_mut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::{Parameter, SqlFunction};
use crate::normalized_name::normalized_name;

/// Makes functions of `CREATE FUNCTION` statements.
#[derive(Debug, Default)]
pub struct SqlFunctions;

#[async_trait]
impl FunctionFactory for SqlFunctions {
    async fn create(&self, state: &SessionState, statement: CreateFunction) -> Result<RegisterFunction> {
        let CreateFunction { or_replace, name, args, return_type, params, .. } = statement;
        if let Some(language) = params.language.as_ref()
            && !language.value.eq_ignore_ascii_case("sql")
        {
            return not_impl_err!(
                "cannot create the function {name}: its language is {language}, and only SQL is known"
            );
        }
        check_name(state, &name, or_replace)?;
        let parameters: Vec<_> = args
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(position, argument)| Parameter {
                name: argument.name.map_or_else(|| format!("${}", position + 1), |name| name.value),
                data_type: argument.data_type,
                default: argument.default_expr,
            })
            .collect();
        let Some(body) = params.function_body else {
            return plan_err!("cannot create the function {name}: it has no body; add RETURN expression");
        };
        let body = body
            .transform(|part| match part {
                Expr::Placeholder(Placeholder { id, .. }) => {
                    let position = id.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
                    match position.and_then(|position| parameters.get(position.checked_sub(1)?)) {
                        Some(parameter) => {
                            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(&parameter.name))))
                        }
                        None => plan_err!(
                            "cannot create the function {name}: its body uses {id}, and it has {} parameters",
                            parameters.len()
                        ),
                    }
                }
                other => Ok(Transformed::no(other)),
            })?
            .data;
        // The declared behavior is ignored: that of the body is known.
        let function = SqlFunction::new(state, name, parameters, body, return_type)?;
        Ok(RegisterFunction::Scalar(Arc::new(ScalarUDF::from(function))))
    }
}

/// Whether a function of this name was defined by a user.
fn is_users(state: &SessionState, name: &str) -> bool {
    state.scalar_functions().get(name).is_some_and(|function| function.inner().is::<SqlFunction>())
}

fn is_built_in(state: &SessionState, name: &str) -> bool {
    let scalar = state.scalar_functions().contains_key(name) && !is_users(state, name);
    scalar
        || state.aggregate_functions().contains_key(name)
        || state.window_functions().contains_key(name)
        || state.table_functions().contains_key(name)
}

/// Whether a function may be created under a name.
///
/// # Errors
/// It is the name of a built-in function, or of a user's and not to be replaced.
pub fn check_name(state: &SessionState, name: &str, or_replace: bool) -> Result<()> {
    if is_built_in(state, name) {
        return plan_err!("cannot create the function {name}: there is a built-in function of this name");
    }
    if is_users(state, name) && !or_replace {
        return plan_err!("the function {name} exists already: use CREATE OR REPLACE FUNCTION");
    }
    Ok(())
}

/// Prepares a `CREATE FUNCTION` statement: unquoted names in lower case, as everywhere, the body out of its
/// quotes, and the parameters' names in it as placeholders.
///
/// # Errors
/// The body names something that is no parameter, calls the function itself, or cannot be parsed.
pub fn prepare_create(state: &SessionState, statement: &mut ast::CreateFunction) -> Result<()> {
    normalize_name(&mut statement.name);
    let name = statement.name.to_string();
    let mut parameters = Vec::new();
    for argument in statement.args.iter_mut().flatten() {
        if let Some(parameter) = &mut argument.name {
            let value = normalized_name(&unquoted(parameter));
            parameters.push(value.clone());
            // In quotes, it is not normalized again.
            *parameter = Ident::with_quote('"', value);
        }
    }
    let Some(body) = &mut statement.function_body else { return Ok(()) };
    let expr = match body {
        CreateFunctionBody::Return(expr) | CreateFunctionBody::AsAfterOptions(expr) => expr,
        CreateFunctionBody::AsBeforeOptions { body, .. } => body,
        _ => return not_impl_err!("cannot create the function {name}: its body must be RETURN expression"),
    };
    if let ast::Expr::Value(value) = expr
        && let Value::SingleQuotedString(text)
        | Value::DollarQuotedString(ast::DollarQuotedString { value: text, .. }) = &value.value
    {
        *expr = state.sql_to_expr(text, &state.config_options().sql_parser.dialect)?;
    }
    let visited = visit_expressions_mut(expr, |part| {
        let failed = |message: String| ControlFlow::Break(message);
        match part {
            ast::Expr::Identifier(ident) => {
                match parameters.iter().position(|parameter| *parameter == normalized_name(ident)) {
                    Some(position) => {
                        let value = Value::Placeholder(format!("${}", position + 1));
                        *part = ast::Expr::Value(value.with_span(Span::empty()));
                    }
                    None if parameters.is_empty() => {
                        return failed(format!("its body uses {ident}, and it has no named parameters"));
                    }
                    None => {
                        return failed(format!(
                            "its body uses {ident}, and its parameters are {}",
                            comma_separated(&parameters)
                        ));
                    }
                }
            }
            ast::Expr::CompoundIdentifier(_) => {
                return failed(format!("its body uses {part}, and a function has no columns"));
            }
            ast::Expr::Function(call) => {
                let mut called = call.name.clone();
                normalize_name(&mut called);
                if called == statement.name {
                    return failed("it calls itself, and SQL functions cannot be recursive".to_owned());
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    match visited {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(message) => plan_err!("cannot create the function {name}: {message}"),
    }
}

/// Prepares a `DROP FUNCTION` statement.
///
/// # Errors
/// The function is built in, or there is none and the statement has no `IF EXISTS`.
pub fn prepare_drop(state: &SessionState, statement: &mut ast::DropFunction) -> Result<()> {
    for function in &mut statement.func_desc {
        normalize_name(&mut function.name);
        let Some(ObjectNamePart::Identifier(ident)) = function.name.0.last() else { continue };
        if is_built_in(state, &ident.value) {
            return plan_err!("cannot drop the function {}: it is built in", ident.value);
        }
        if !statement.if_exists && !is_users(state, &ident.value) {
            return plan_err!("there is no function {}: SHOW FUNCTIONS lists them", ident.value);
        }
    }
    Ok(())
}

/// The name of a parameter. The parser gives it as the text of its token, with the quotes around but none doubled inside.
fn unquoted(parameter: &Ident) -> Ident {
    for (open, close) in [('"', '"'), ('`', '`'), ('[', ']')] {
        let inner = parameter.value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        if let (None, Some(inner)) = (parameter.quote_style, inner) {
            return Ident::with_quote(open, inner);
        }
    }
    parameter.clone()
}

/// Names as they are written in SQL: in quotes if they would be converted to lower case, or contain more than letters, digits
/// and underscores.
fn comma_separated(names: &[String]) -> String {
    let is_plain =
        |character: char| character.is_alphanumeric() && !character.is_uppercase() || character == '_';
    let quoted = names.iter().map(|name| match name.chars().all(is_plain) {
        true => name.clone(),
        false => Ident::with_quote('"', name).to_string(),
    });
    quoted.collect::<Vec<_>>().join(", ")
}

fn normalize_name(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(ident) = part {
            *part = ObjectNamePart::Identifier(Ident::new(normalized_name(ident)));
        }
    }
}
