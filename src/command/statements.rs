//! Runs SQL statements and writes their results.

use std::path::Path;

use super::error::CliError;
use super::output::{Format, print, save};
use crate::session::Session;

/// Reads a file of SQL statements.
pub fn read(file: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(file)
        .map_err(|error| CliError::failure(format!("cannot read '{}': {error}", file.display())))
}

/// Runs statements in order and returns the total number of rows. With `output`, a path and whether to overwrite it, the
/// result of the last statement goes to that file.
pub async fn execute(
    session: &Session,
    text: &str,
    format: Format,
    output: Option<(&Path, bool)>,
) -> Result<u64, CliError> {
    let failed = |error| CliError::query(error, text);
    let mut script = session.script(text).map_err(failed)?;
    if output.is_some() && script.is_empty() {
        return Err(CliError::usage("there is no statement whose result could be written"));
    }
    let mut rows = 0;
    while let Some(statement) = session.next_statement(&mut script).map_err(failed)? {
        let query = session.statement(statement).await.map_err(failed)?;
        let returns_rows = !query.schema().fields().is_empty();
        rows += match output {
            Some((path, overwrite)) if script.is_empty() => save(query, format, path, overwrite).await?,
            Some(_) if returns_rows => {
                return Err(CliError::failure(
                    "only the last statement may return rows when they go to a file",
                ));
            }
            _ if returns_rows => print(query, format).await?,
            _ => {
                query.collect().await.map_err(failed)?;
                0
            }
        };
    }
    Ok(rows)
}
