//! The commands of the shell that are not SQL.

/// What the shell shows for `help`.
pub const HELP: &str = "\
A statement ends with ';'. Ctrl-C cancels the statement or the running query; Tab completes.
  \\d, \\dt        list the tables               \\o FILE [--overwrite]  write the next result to FILE; \\o cancels it
  \\d NAME        describe a table              \\mode [FORMAT]         show or set the format of results
  \\df [PATTERN]  list the functions            \\x                     one line for each value, or the format before
  \\timing        show times or not             \\maxrows N | all       the number of rows of a table that are shown
  \\i FILE        run the statements in a file   \\pager [on | off]      show results in $PAGER
  \\?, \\h, help   show this                     \\q, exit, quit         leave the shell";

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Quit,
    Help,
    /// SQL that the command stands for.
    Sql(String),
    /// Runs the statements in the file of this path.
    Include(String),
    Timing,
    /// Changes the format, or shows it.
    Mode(Option<String>),
    Expanded,
    /// The number of rows of a table that are shown; all if `None`.
    MaxRows(Option<usize>),
    /// Turns the pager on or off, or the other way round.
    Pager(Option<bool>),
    /// The path of the next result, and whether it replaces an existing file; the screen if `None`.
    Output(Option<(String, bool)>),
}

/// The command in a line, or `None` if it is SQL.
///
/// # Errors
/// There is no such command, or its argument is wrong.
pub fn parse(line: &str) -> Option<Result<Command, String>> {
    let line = line.trim().trim_end_matches(';').trim_end();
    match line.to_lowercase().as_str() {
        "exit" | "quit" => return Some(Ok(Command::Quit)),
        "help" => return Some(Ok(Command::Help)),
        _ if !line.starts_with('\\') => return None,
        _ => {}
    }
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = Some(argument.trim()).filter(|argument| !argument.is_empty());
    let wrong = |usage: &str| Err(format!("{name} is used as: {usage}"));
    Some(match (name, argument) {
        ("\\q", None) => Ok(Command::Quit),
        ("\\?" | "\\h", _) => Ok(Command::Help),
        ("\\d" | "\\dt", None) => Ok(Command::Sql(TABLES.to_owned())),
        ("\\d", Some(table)) => Ok(Command::Sql(format!("DESCRIBE {table}"))),
        ("\\df", pattern) => Ok(Command::Sql(functions(pattern.unwrap_or("*")))),
        ("\\i", Some(file)) => Ok(Command::Include(file.to_owned())),
        ("\\timing", None) => Ok(Command::Timing),
        ("\\mode", format) => Ok(Command::Mode(format.map(str::to_owned))),
        ("\\x", None) => Ok(Command::Expanded),
        ("\\maxrows", Some("all")) => Ok(Command::MaxRows(None)),
        ("\\maxrows", Some(rows)) => match rows.replace(['_', ','], "").parse() {
            Ok(rows) if rows > 0 => Ok(Command::MaxRows(Some(rows))),
            _ => wrong("\\maxrows N, or \\maxrows all"),
        },
        ("\\pager", None) => Ok(Command::Pager(None)),
        ("\\pager", Some("on")) => Ok(Command::Pager(Some(true))),
        ("\\pager", Some("off")) => Ok(Command::Pager(Some(false))),
        ("\\o", None | Some("-")) => Ok(Command::Output(None)),
        ("\\o", Some(output)) => match output.strip_suffix("--overwrite").map(str::trim) {
            Some("") => wrong("\\o FILE, or \\o FILE --overwrite"),
            Some(path) => Ok(Command::Output(Some((path.to_owned(), true)))),
            None => Ok(Command::Output(Some((output.to_owned(), false)))),
        },
        ("\\q" | "\\timing" | "\\x", Some(_)) => Err(format!("{name} takes no argument")),
        ("\\dt", Some(_)) => wrong("\\dt, or \\d NAME for one table"),
        ("\\maxrows", None) => wrong("\\maxrows N, or \\maxrows all"),
        ("\\pager", Some(_)) => wrong("\\pager, \\pager on or \\pager off"),
        ("\\i", None) => wrong("\\i FILE"),
        _ => Err(format!("there is no command {name}: \\? shows the commands")),
    })
}

const TABLES: &str = "SELECT table_name, table_type FROM information_schema.tables \
     WHERE table_schema <> 'information_schema' ORDER BY table_name";

/// A query of the functions whose names match a pattern with `*` for any characters.
fn functions(pattern: &str) -> String {
    let pattern = pattern.replace('\'', "''").replace('%', "\\%").replace('_', "\\_").replace('*', "%");
    format!(
        "SELECT DISTINCT routine_name AS function_name, function_type FROM information_schema.routines \
         WHERE routine_name ILIKE '{pattern}' ORDER BY function_name"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_sql() {
        let ok = |line: &str| parse(line).and_then(Result::ok);
        for quit in ["\\q", "exit", "QUIT;", " exit ; "] {
            assert_eq!(ok(quit), Some(Command::Quit), "{quit}");
        }
        assert_eq!(ok("help"), Some(Command::Help));
        assert_eq!(ok("\\d points;"), Some(Command::Sql("DESCRIBE points".to_owned())));
        assert_eq!(ok("\\i my file.sql"), Some(Command::Include("my file.sql".to_owned())));
        assert_eq!(ok("\\maxrows 1_000"), Some(Command::MaxRows(Some(1000))));
        assert_eq!(ok("\\maxrows all"), Some(Command::MaxRows(None)));
        assert_eq!(ok("\\o my file.csv"), Some(Command::Output(Some(("my file.csv".to_owned(), false)))));
        assert_eq!(ok("\\o a.csv --overwrite"), Some(Command::Output(Some(("a.csv".to_owned(), true)))));
        assert_eq!(ok("\\o"), Some(Command::Output(None)));
        assert_eq!(ok("\\o -"), Some(Command::Output(None)));
        for sql in ["select 1;", "exit_code", "", "helpful"] {
            assert_eq!(parse(sql), None, "{sql}");
        }
        for wrong in
            ["\\maxrows", "\\maxrows 0", "\\pager maybe", "\\o --overwrite", "\\i", "\\nothing", "\\q now"]
        {
            assert!(matches!(parse(wrong), Some(Err(_))), "{wrong}");
        }
    }
}
