//! The syntax: `SUMMARIZE t`, `SUMMARIZE 'file'`, `SUMMARIZE SELECT ...`, and `summarize(...)` in the place of a table.

use std::ops::ControlFlow;

use datafusion::common::Result;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Query, SetExpr, TableFactor,
    TableFunctionArgs, Value, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;
use warpframe_datafusion::visit_statement;

use super::FUNCTION;

/// Parses a `SUMMARIZE`; `None` if the next statement is another one.
///
/// # Errors
/// What follows the word is neither a table nor a query.
pub fn parse(parser: &mut Parser) -> Result<Option<Statement>, ParserError> {
    let is_summarize = |token: &Token| match token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(FUNCTION),
        _ => false,
    };
    if !is_summarize(&parser.peek_token().token) {
        return Ok(None);
    }
    parser.next_token();
    let argument = match parser.peek_token().token {
        Token::LParen => Expr::Subquery(parser.parse_query()?),
        Token::Word(word)
            if matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::FROM) =>
        {
            Expr::Subquery(parser.parse_query()?)
        }
        _ => {
            let ObjectName(parts) = parser.parse_object_name(false)?;
            Expr::CompoundIdentifier(parts.into_iter().filter_map(|part| part.as_ident().cloned()).collect())
        }
    };
    let args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))];
    let name = ObjectName::from(vec![Ident::new(FUNCTION)]);
    let query = all_of(name, Some(TableFunctionArgs { args, settings: None }))?;
    Ok(Some(Statement::Statement(Box::new(ast::Statement::Query(query)))))
}

/// Makes a subquery of the argument of every `summarize(...)`: a table, a file in quotes or a query. It is that of an `EXISTS`,
/// the only kind of subquery with any number of columns that DataFusion plans as an argument.
///
/// # Errors
/// Never for arguments of these kinds. Others stay, and are refused when the function is planned.
pub fn expand(statement: &mut Statement) -> Result<()> {
    match visit_statement(statement, &mut Expander) {
        ControlFlow::Break(error) => Err(error.into()),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Expander;

impl VisitorMut for Expander {
    type Break = ParserError;

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<ParserError> {
        let TableFactor::Table { name, args: Some(args), .. } = table else {
            return ControlFlow::Continue(());
        };
        let [ObjectNamePart::Identifier(function)] = &mut name.0[..] else {
            return ControlFlow::Continue(());
        };
        if !function.value.eq_ignore_ascii_case(FUNCTION) {
            return ControlFlow::Continue(());
        }
        *function = Ident { span: function.span, ..Ident::new(FUNCTION) };
        if let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = &mut args.args[..] {
            match query_of(argument) {
                Ok(Some(subquery)) => *argument = Expr::Exists { subquery, negated: false },
                Ok(None) => {}
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}

/// The query of an argument; `None` if it is something else.
fn query_of(argument: &Expr) -> Result<Option<Box<Query>>, ParserError> {
    let table = match argument {
        Expr::Subquery(query) => return Ok(Some(query.clone())),
        Expr::Identifier(name) => vec![name.clone()],
        Expr::CompoundIdentifier(names) => names.clone(),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(path) => vec![Ident::with_quote('\'', path)],
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    all_of(ObjectName::from(table), None).map(Some)
}

/// `SELECT *` from a table, or from a table function.
fn all_of(table: ObjectName, arguments: Option<TableFunctionArgs>) -> Result<Box<Query>, ParserError> {
    let mut query = Parser::new(&GenericDialect {}).try_with_sql("SELECT * FROM t")?.parse_query()?;
    if let SetExpr::Select(select) = &mut *query.body
        && let Some(from) = select.from.first_mut()
        && let TableFactor::Table { name, args, .. } = &mut from.relation
    {
        (*name, *args) = (table, arguments);
    }
    Ok(query)
}
