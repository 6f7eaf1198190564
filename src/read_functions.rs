//! The table functions that read files with options: `read_csv('a.csv', delim => ';')`.
//!
//! DataFusion's table functions have no named arguments, and cannot wait for an object store. These are replaced by tables
//! before a statement is planned.

use datafusion::common::{Result, plan_err};
use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, Value, ValueWithSpan,
};
use warpframe_io::{DataFormat, Header, ReadOptions, csv_byte};

/// Files in the place of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Paths, patterns or URLs.
    pub paths: Vec<String>,
    /// How they are read.
    pub options: ReadOptions,
}

/// The names of the functions, and the format that each reads.
const FUNCTIONS: [(&str, DataFormat); 8] = [
    ("read_parquet", DataFormat::Parquet),
    ("read_csv", DataFormat::Csv),
    ("read_csv_auto", DataFormat::Csv),
    ("read_tsv", DataFormat::Tsv),
    ("read_json", DataFormat::Json),
    ("read_ndjson", DataFormat::Ndjson),
    ("read_arrow", DataFormat::Arrow),
    ("read_avro", DataFormat::Avro),
];

/// The names of the options of CSV files, as errors list them.
const CSV_OPTIONS: &str = "delim (or sep), quote, escape, comment, header and nullstr";

/// The names of the functions.
#[cfg(feature = "cli")]
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

/// The files that a call of a table function reads; `None` if the function is no such one.
///
/// # Errors
/// An argument is not a file name, or no option of the function.
pub fn read_call(function: &str, arguments: &[FunctionArg]) -> Result<Option<Files>> {
    let function = function.to_ascii_lowercase();
    let Some((_, format)) = FUNCTIONS.iter().find(|(name, _)| *name == function) else { return Ok(None) };
    let mut files =
        Files { paths: Vec::new(), options: ReadOptions { format: Some(*format), ..Default::default() } };
    for argument in arguments {
        match argument {
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                set_option(&function, &mut files.options, &name.value, value)?;
            }
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(value),
                ..
            } => set_option(&function, &mut files.options, &name.value, value)?,
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp {
                left,
                op: BinaryOperator::Eq,
                right,
            })) if matches!(&**left, Expr::Identifier(_)) => {
                set_option(&function, &mut files.options, &left.to_string(), right)?;
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Array(Array { elem, .. })))
                if files.paths.is_empty() =>
            {
                files.paths = elem.iter().map(|path| file_name(&function, path)).collect::<Result<_>>()?;
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(path)) if files.paths.is_empty() => {
                files.paths = vec![file_name(&function, path)?];
            }
            other => {
                return plan_err!(
                    "{function} takes a file name or a list ['a', 'b'], and options NAME => VALUE, not {other}"
                );
            }
        }
    }
    match files.paths.is_empty() {
        true => plan_err!("{function} takes a file name, as in {function}('data/*')"),
        false => Ok(Some(files)),
    }
}

fn file_name(function: &str, value: &Expr) -> Result<String> {
    match text(value) {
        Some(name) => Ok(name),
        None => plan_err!("{function} takes the name of a file in single quotes, not {value}"),
    }
}

/// The text of a literal.
fn text(value: &Expr) -> Option<String> {
    match value {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text),
            ..
        }) => Some(text.clone()),
        _ => None,
    }
}

/// Sets an option of a call.
fn set_option(function: &str, options: &mut ReadOptions, name: &str, value: &Expr) -> Result<()> {
    let is_csv = matches!(options.format, Some(DataFormat::Csv | DataFormat::Tsv));
    if !is_csv {
        return plan_err!("{function} has no option '{name}': it has no options");
    }
    let csv = &mut options.csv;
    let character = |what: &str| match text(value) {
        Some(text) => csv_byte(what, &text).map(Some),
        None => plan_err!("the option '{name}' of {function} is a character in single quotes, not {value}"),
    };
    match name.to_ascii_lowercase().as_str() {
        "delim" | "sep" | "delimiter" => csv.delimiter = character("delimiter")?,
        "quote" => csv.quote = character("quote")?,
        "escape" => csv.escape = character("escape")?,
        "comment" => csv.comment = character("comment")?,
        "header" => match header(value) {
            Some(header) => csv.header = Some(header),
            None => {
                return plan_err!(
                    "the option 'header' of {function} is true, false or 'detect', not {value}"
                );
            }
        },
        "nullstr" | "null" => match text(value) {
            Some(text) => csv.null = Some(text),
            None => {
                return plan_err!(
                    "the option '{name}' of {function} is one text in single quotes, not {value}"
                );
            }
        },
        _ => return plan_err!("{function} has no option '{name}': it has {CSV_OPTIONS}"),
    }
    Ok(())
}

/// The choice of a header: a truth value, 1 or 0, or a name.
fn header(value: &Expr) -> Option<Header> {
    match value {
        Expr::Value(ValueWithSpan { value: Value::Boolean(true), .. }) => Some(Header::Yes),
        Expr::Value(ValueWithSpan { value: Value::Boolean(false), .. }) => Some(Header::No),
        Expr::Value(ValueWithSpan { value: Value::Number(number, _), .. }) => match number.as_str() {
            "1" => Some(Header::Yes),
            "0" => Some(Header::No),
            _ => None,
        },
        _ => Header::from_name(&text(value)?),
    }
}
