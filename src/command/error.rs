//! Errors as one message for the user, with the position in the query if it is known.

use std::fmt::Display;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;

/// Exit codes of the process.
pub const SUCCESS: u8 = 0;
pub const FAILURE: u8 = 1;
pub const USAGE: u8 = 2;
/// That of shells for a program that SIGINT ended.
pub const INTERRUPTED: u8 = 130;

/// Why a command did not succeed.
#[derive(Debug)]
pub enum CliError {
    /// The arguments or environment variables are wrong.
    Usage(String),
    /// The command failed.
    Failure(String),
    /// Standard input could not be read, or the output could not be written.
    Io(std::io::Error),
    /// A signal interrupted the command.
    Interrupted,
    /// The reader closed the pipe that stdout writes to. This is not a failure.
    ClosedOutput,
}

impl CliError {
    pub fn usage(message: impl Display) -> Self {
        Self::Usage(message.to_string())
    }

    pub fn failure(message: impl Display) -> Self {
        Self::Failure(message.to_string())
    }

    /// The failure of a query, with the position in its text if the error has one.
    pub fn query(error: DataFusionError, query: &str) -> Self {
        let message = root_message(&error);
        match position(&error, query) {
            Some((line, column)) => {
                let text = query.lines().nth(line.saturating_sub(1)).unwrap_or_default();
                let caret = " ".repeat(column.saturating_sub(1));
                Self::Failure(format!("{message}, at line {line}, column {column}\n  {text}\n  {caret}^"))
            }
            None => Self::Failure(message),
        }
    }

    /// Prints the message to stderr.
    pub fn print(&self) {
        match self {
            Self::Usage(message) | Self::Failure(message) => eprintln!("error: {message}"),
            Self::Io(error) => eprintln!("error: {error}"),
            Self::Interrupted => eprintln!("interrupted"),
            Self::ClosedOutput => {}
        }
    }

    /// Prints the message to stderr and returns the exit code.
    pub fn report(&self) -> u8 {
        self.print();
        match self {
            Self::Usage(_) => USAGE,
            Self::Failure(_) | Self::Io(_) => FAILURE,
            Self::Interrupted => INTERRUPTED,
            Self::ClosedOutput => SUCCESS,
        }
    }
}

impl From<DataFusionError> for CliError {
    fn from(error: DataFusionError) -> Self {
        Self::Failure(root_message(&error))
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::ClosedOutput,
            _ => Self::Io(error),
        }
    }
}

/// The message of the root cause, on one line, without the prefixes of the errors that wrap it.
pub fn root_message(error: &DataFusionError) -> String {
    let message = match error.find_root() {
        DataFusionError::Plan(message)
        | DataFusionError::Execution(message)
        | DataFusionError::Configuration(message)
        | DataFusionError::NotImplemented(message) => message.clone(),
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
                without_position(message).to_owned()
            }
            ParserError::RecursionLimitExceeded => "the query is nested too deeply".to_owned(),
        },
        DataFusionError::SchemaError(error, _) => schema_message(error),
        DataFusionError::ResourcesExhausted(message) => {
            format!("the memory limit is too small for this: {message}")
        }
        DataFusionError::ExecutionJoin(error) if error.is_panic() => super::panic::worker_stopped(),
        other => other.strip_backtrace(),
    };
    // Some messages have a backtrace or a list of hints on further lines.
    let message = message.split("\n\nbacktrace:").next().unwrap_or(&message);
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn schema_message(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut valid: Vec<_> = valid_fields.iter().map(|field| field.name.clone()).collect();
            valid.dedup();
            let valid = match valid.is_empty() {
                true => "there are no columns here".to_owned(),
                false => format!("use one of {}", valid.join(", ")),
            };
            format!("there is no column '{}': {valid}", field.name)
        }
        other => other.to_string(),
    }
}

/// The line and the column in the query, both from 1. The SQL parser reports them only in its message.
fn position(error: &DataFusionError, query: &str) -> Option<(usize, usize)> {
    if let DataFusionError::SQL(error, _) = error.find_root() {
        let (ParserError::ParserError(message) | ParserError::TokenizerError(message)) = error.as_ref()
        else {
            return None;
        };
        if message.ends_with("found: EOF") {
            let query = query.trim_end();
            let last = query.lines().last().unwrap_or_default();
            return Some((query.lines().count().max(1), last.chars().count() + 1));
        }
        let (_, place) = message.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        return Some((line.trim().parse().ok()?, column.trim().parse().ok()?));
    }
    let span = error.diagnostic()?.span?;
    Some((span.start.line as usize, span.start.column as usize))
}

fn without_position(message: &str) -> &str {
    message.rsplit_once(" at Line: ").map_or(message, |(message, _)| message)
}
