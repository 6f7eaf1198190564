//! Runs SQL statements and writes their results.

use std::io::Read;
use std::path::Path;

use super::error::CliError;
use super::notes::print_notes;
use super::output::{Display, STANDARD, Target, write};
use super::query_progress::QueryProgress;
use crate::error_location::ErrorLocator;
use crate::session::Session;

/// Reads a file of SQL statements; `-` is the standard input.
pub fn read(file: &Path) -> Result<String, CliError> {
    if file == Path::new(STANDARD) {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
        .map_err(|error| CliError::failure(format!("cannot read '{}': {error}", file.display())))
}

/// Runs statements in order and returns the total number of rows. If the target is a file, it gets the result of the last
/// statement, and the others must have none.
pub async fn execute(
    session: &Session,
    text: &str,
    display: &Display,
    target: &Target,
) -> Result<u64, CliError> {
    let failed = |error| CliError::query(error, text);
    let mut script = session.script(text).map_err(failed)?;
    let to_file = matches!(target, Target::File { .. });
    if to_file && script.is_empty() {
        return Err(CliError::usage("there is no statement whose result could be written"));
    }
    let mut rows = 0;
    while let Some(statement) = session.next_statement(&mut script).map_err(failed)? {
        let query = {
            // CREATE TABLE AS runs here.
            let _progress = display.progress.then(QueryProgress::elapsed);
            session.statement(statement).await.map_err(failed)?
        };
        print_notes(session);
        let returns_rows = !query.schema().fields().is_empty();
        if to_file && script.is_empty() && !returns_rows {
            return Err(CliError::failure(
                "the last statement returns no rows that could be written: end with a query, or write no output",
            ));
        }
        if !returns_rows {
            let locator = ErrorLocator::of(&query);
            query.collect().await.map_err(|error| failed(locator.locate(error)))?;
        } else if to_file && !script.is_empty() {
            return Err(CliError::failure("only the last statement may return rows when they go to a file"));
        } else {
            rows += write(query, display, target).await?;
        }
    }
    print_notes(session);
    Ok(rows)
}
