//! SQL text with several statements, parsed in the dialect that the session has when a statement's turn comes.

use std::collections::VecDeque;

use datafusion::common::config::Dialect;
use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use datafusion::config::SqlParserOptions;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use crate::from_first;
use crate::summarize;

/// The option that names the dialect.
const DIALECT_OPTION: &str = "datafusion.sql_parser.dialect";

/// The location of the first character.
const BEGINNING: Location = Location { line: 1, column: 1 };

/// Statements separated by `;`.
///
/// All of them are parsed at the beginning, so that a syntax error anywhere means that none runs. Only what follows a
/// `SET datafusion.sql_parser.dialect` is parsed when that statement has run.
#[derive(Debug)]
pub struct Script {
    text: String,
    dialect: Dialect,
    /// Statements, each with its beginning.
    statements: VecDeque<(Location, Statement)>,
    /// The error that parsing has ended with, and the beginning of the statement that it is in.
    error: Option<(Location, DataFusionError)>,
}

impl Script {
    /// Parses a text.
    ///
    /// # Errors
    /// It is not valid SQL in this dialect.
    pub(crate) fn new(text: &str, options: &SqlParserOptions) -> Result<Self> {
        let mut script = Self {
            text: text.to_owned(),
            dialect: options.dialect,
            statements: VecDeque::new(),
            error: None,
        };
        script.parse(BEGINNING, options);
        if script.statements.iter().any(|(_, statement)| sets_dialect(statement)) {
            return Ok(script);
        }
        match script.error {
            Some((_, error)) => Err(error),
            None => Ok(script),
        }
    }

    /// Whether no statement is left.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.error.is_none()
    }

    /// The next statement, in the dialect that these options name now.
    ///
    /// # Errors
    /// The rest of the text is not valid SQL in this dialect.
    pub(crate) fn next(&mut self, options: &SqlParserOptions) -> Result<Option<Statement>> {
        if options.dialect != self.dialect
            && let Some(rest) = self.beginning()
        {
            self.parse(rest, options);
        }
        match self.statements.pop_front() {
            Some((_, statement)) => Ok(Some(statement)),
            None => match self.error.take() {
                Some((_, error)) => Err(error),
                None => Ok(None),
            },
        }
    }

    /// The beginning of the next statement.
    fn beginning(&self) -> Option<Location> {
        let statement = self.statements.front().map(|(beginning, _)| *beginning);
        statement.or(self.error.as_ref().map(|(beginning, _)| *beginning))
    }

    /// Parses the text from a location on.
    fn parse(&mut self, from: Location, options: &SqlParserOptions) {
        self.dialect = options.dialect;
        self.statements.clear();
        self.error = self.parse_statements(from, options).err();
    }

    fn parse_statements(
        &mut self,
        from: Location,
        options: &SqlParserOptions,
    ) -> Result<(), (Location, DataFusionError)> {
        let at = |beginning: Location| move |error: DataFusionError| (beginning, error);
        let Some(dialect) = dialect_from_str(options.dialect) else {
            return Err((from, plan_datafusion_err!("there is no SQL dialect '{}'", options.dialect)));
        };
        // Blank instead of cut off, so that the positions in errors are those in the text.
        let blank = |c: char| if c == '\n' { c } else { ' ' };
        let (parsed, rest) = self.text.split_at(byte_position(&self.text, from));
        let text: String = parsed.chars().map(blank).chain(rest.chars()).collect();
        let tokens = from_first::tokens(&text, dialect.as_ref());
        let tokens = tokens.map_err(|error| at(from)(ParserError::from(error).into()))?;
        let parser = DFParserBuilder::new(tokens)
            .with_dialect(dialect.as_ref())
            .with_recursion_limit(options.recursion_limit.get())
            .build();
        let mut parser = parser.map_err(at(from))?;
        loop {
            while parser.parser.consume_token(&Token::SemiColon) {}
            let next = parser.parser.peek_token();
            if next == Token::EOF {
                return Ok(());
            }
            let beginning = next.span.start;
            let statement = match summarize::parse(&mut parser.parser) {
                Ok(Some(statement)) => Ok(statement),
                Ok(None) => parser.parse_statement(),
                Err(error) => Err(error.into()),
            };
            let statement = statement.map_err(|error| at(beginning)(explained(error, options)))?;
            let end = parser.parser.peek_token();
            if end != Token::EOF && end != Token::SemiColon {
                let expected = parser.parser.expected::<()>("end of statement", end);
                return expected.map_err(|error| (beginning, error.into()));
            }
            self.statements.push_back((beginning, statement));
        }
    }
}

/// The error of a parser, in a sentence if it is that of the recursion limit.
fn explained(error: DataFusionError, options: &SqlParserOptions) -> DataFusionError {
    match error {
        DataFusionError::SQL(error, _) if matches!(*error, ParserError::RecursionLimitExceeded) => {
            plan_datafusion_err!(
                "the statement has more than {} levels of parentheses, functions or subqueries: simplify it, or raise \
             datafusion.sql_parser.recursion_limit",
                options.recursion_limit.get()
            )
        }
        error => error,
    }
}

/// Whether a statement sets the dialect.
fn sets_dialect(statement: &Statement) -> bool {
    let Statement::Statement(statement) = statement else { return false };
    match &**statement {
        ast::Statement::Set(ast::Set::SingleAssignment { variable, .. }) => {
            variable.to_string().eq_ignore_ascii_case(DIALECT_OPTION)
        }
        _ => false,
    }
}

/// The position of a character that is given by its line and column, both counted from 1.
fn byte_position(text: &str, location: Location) -> usize {
    let lines = text.split_inclusive('\n');
    let line_start: usize = lines.take(location.line.saturating_sub(1) as usize).map(str::len).sum();
    let rest = &text[line_start..];
    let column = location.column.saturating_sub(1) as usize;
    line_start + rest.char_indices().nth(column).map_or(rest.len(), |(position, _)| position)
}
