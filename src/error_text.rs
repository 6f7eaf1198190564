//! Errors of queries as one message for the user, with the position in the query if it is known.

use std::collections::BTreeSet;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;

use warpframe_datafusion::errors::arrow_message;
use warpframe_io::parquet_message;

use crate::column_case::names_in_other_case;

/// The message of the root cause, on one line, without the prefixes of the errors that wrap it.
pub fn root_message(error: &DataFusionError) -> String {
    let message = match error.find_root() {
        DataFusionError::Plan(message) => advice(error).unwrap_or_else(|| message.clone()),
        DataFusionError::Execution(message)
        | DataFusionError::Configuration(message)
        | DataFusionError::NotImplemented(message)
        | DataFusionError::ResourcesExhausted(message) => message.clone(),
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
                without_position(message).to_owned()
            }
            ParserError::RecursionLimitExceeded => "the query is nested too deeply".to_owned(),
        },
        DataFusionError::SchemaError(error, _) => schema_message(error),
        DataFusionError::ArrowError(error, _) => arrow_message(error),
        DataFusionError::ParquetError(error) => parquet_message(error),
        DataFusionError::External(error) => error.to_string(),
        other => other.strip_backtrace(),
    };
    let message = signature_message(&message).unwrap_or_else(|| without_layers(&message));
    // Some messages have a backtrace or a list of hints on further lines.
    let message = message.split("\n\nbacktrace:").next().unwrap_or(&message);
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The message with the position in the text of a query, as in `there is no column 'a', at line 1, column 8`. The line and
/// a mark below the position follow on lines of their own.
pub fn with_position(message: String, error: &DataFusionError, query: &str) -> String {
    let Some((line, column)) = position(error, query) else { return message };
    let text = query.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let caret = " ".repeat(column.saturating_sub(1));
    format!("{message}, at line {line}, column {column}\n  {text}\n  {caret}^")
}

/// The message of a planning error that comes with advice, and the advice.
fn advice(error: &DataFusionError) -> Option<String> {
    let diagnostic = error.diagnostic()?;
    let help = &diagnostic.helps.first()?.message;
    Some(format!("{}: {help}", diagnostic.message))
}

/// What DataFusion and Arrow put before the message of an error when they wrap it as a text.
const LAYERS: [&str; 9] = [
    "Arrow error: ",
    "Avro error: ",
    "Compute error: ",
    "Error during planning: ",
    "Execution error: ",
    "External error: ",
    "IO error: ",
    "Parquet argument error: ",
    "Parquet error: ",
];

/// What DataFusion writes before an error of the types of arguments.
const QUOTED_ERROR: &str = "failed with: ";

/// What DataFusion writes if a function takes none of the types of its arguments, between its name and an error for each type that
/// it takes.
const NO_SIGNATURE: &str = "' failed to match any signature, errors: ";

/// The message for a function that does not take the type of an argument.
fn signature_message(message: &str) -> Option<String> {
    let (before, errors) = message.split_once(NO_SIGNATURE)?;
    let (_, name) = before.rsplit_once('\'')?;
    let mut taken: Vec<&str> = Vec::new();
    let mut received = None;
    for error in errors.split("' requires ").skip(1) {
        let (required, rest) = error.split_once(", but received ")?;
        taken.push(required);
        received = received.or_else(|| rest.split_once("(DataType: ")?.1.split(')').next());
    }
    let (last, others) = taken.split_last()?;
    let taken = match others {
        [] => (*last).to_owned(),
        _ => format!("{} or {last}", others.join(", ")),
    };
    Some(format!("the function '{name}' takes {taken}, not {}: cast the argument", received?))
}

/// The default catalog and schema before the name of a table.
const DEFAULT_SCHEMA: &str = "'datafusion.public.";

/// The message without the names of layers before it or before a quoted error, and without the default schema of tables.
fn without_layers(message: &str) -> String {
    let strip = |mut message: &str| {
        while let Some(rest) = LAYERS.iter().find_map(|layer| message.strip_prefix(layer)) {
            message = rest;
        }
        message.to_owned()
    };
    let message = match message.split_once(QUOTED_ERROR) {
        Some((before, quoted)) => format!("{}{QUOTED_ERROR}{}", strip(before), strip(quoted)),
        None => strip(message),
    };
    message.replace(DEFAULT_SCHEMA, "'")
}

fn schema_message(error: &SchemaError) -> String {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let similar = names_in_other_case(error);
            if !similar.is_empty() {
                let quoted: Vec<_> = similar.iter().map(|name| format!("\"{name}\"")).collect();
                let (name, quoted) = (&field.name, quoted.join(" or "));
                return format!("there is no column '{name}': write {quoted}, with the double quotes");
            }
            if let Some(table) = &field.relation
                && !valid_fields.iter().any(|valid| valid.relation.as_ref() == Some(table))
            {
                let tables: BTreeSet<_> =
                    valid_fields.iter().filter_map(|valid| valid.relation.as_ref()).collect();
                let tables: Vec<_> = tables.into_iter().map(ToString::to_string).collect();
                let known = match tables.is_empty() {
                    true => "there are no tables with names".to_owned(),
                    false => format!("use one of {}", tables.join(", ")),
                };
                return format!("there is no table '{table}' here: {known}");
            }
            let mut valid: Vec<&str> = Vec::new();
            for field in valid_fields {
                if !valid.contains(&field.name()) {
                    valid.push(field.name());
                }
            }
            let valid = match valid.is_empty() {
                true => "there are no columns here".to_owned(),
                false => format!("use one of {}", valid.join(", ")),
            };
            format!("there is no column '{}': {valid}", field.name)
        }
        SchemaError::DuplicateQualifiedField { qualifier, name } => format!(
            "two tables have the name {qualifier}, and both have a column '{name}': rename one table with AS"
        ),
        SchemaError::AmbiguousReference { field } if field.relation.is_none() => format!(
            "several tables have a column '{0}': write the name of a table before it, as in t.{0}",
            field.name
        ),
        // `SELECT id, x AS id`: one of two columns of a query has the name of a table and one has not.
        SchemaError::AmbiguousReference { field } => {
            format!("two columns have the name '{}': rename one with AS", field.name)
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
