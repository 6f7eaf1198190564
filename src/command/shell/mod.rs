//! The interactive shell: line editing, history, statements of several lines, and commands.

mod commands;
mod completion;
mod cursor;
mod editor;
mod sql_text;
mod statement_thread;

use std::path::PathBuf;
use std::time::Instant;

use rustyline::completion::FilenameCompleter;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::runtime::Runtime;

use self::commands::{Command, HELP};
use self::editor::LineHelper;
use self::sql_text::Input;
use self::statement_thread::StatementThread;
use super::error::CliError;
use super::output::{Display, Format, NextResult, Pager, ResultFile, Target};
use super::signal::Signal;
use super::signals;
use super::statements::read;
use super::terminal;
use crate::session::Session;
use crate::terminal_text::escape_controls;

const PROMPT: &str = "warpframe> ";

/// The prompt of the lines of a statement after its first one.
const CONTINUATION_PROMPT: &str = "      ...> ";

/// Reads and runs statements until the user quits.
pub fn run(session: &Session, runtime: &Runtime, display: Display, quiet: bool) -> Result<(), CliError> {
    let _signals = signals::Shell::start();
    let config = Config::builder().completion_type(CompletionType::List).auto_add_history(false).build();
    let mut editor: Editor<LineHelper, DefaultHistory> =
        Editor::with_config(config).map_err(CliError::failure)?;
    editor.set_helper(Some(LineHelper {
        session: session.clone(),
        runtime: runtime.handle().clone(),
        files: FilenameCompleter::new(),
        before: String::new(),
        colors: terminal::has_colors(),
    }));
    let history = history_file();
    if let Some(history) = &history {
        // The file does not exist before the first session.
        let _ = editor.load_history(history);
    }
    if !quiet {
        eprintln!("warpframe {}: help shows the commands", env!("CARGO_PKG_VERSION"));
    }
    let mut shell = Shell {
        session,
        runtime,
        display: Display { is_shell: true, ..display },
        timing: true,
        pager: None,
        output: NextResult::default(),
        before_expanded: None,
    };
    shell.run_startup_file()?;
    let mut history_failed = false;
    loop {
        let statement = match read_statement(&mut editor) {
            Ok(Some(statement)) => statement,
            Ok(None) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(CliError::failure(error)),
        };
        let _ = editor.add_history_entry(&statement);
        // At once, because a signal may end the shell while it waits for a line.
        if let Some(history) = &history
            && let Err(error) = editor.append_history(history)
            && !std::mem::replace(&mut history_failed, true)
        {
            eprintln!("cannot save the history to '{}': {error}", history.display());
        }
        match commands::parse(&statement) {
            Some(Ok(Command::Quit)) => break,
            Some(Ok(command)) => shell.command(command)?,
            Some(Err(message)) => CliError::failure(message).print(),
            None => shell.execute(&statement)?,
        }
    }
    Ok(())
}

/// Reads lines up to the end of a statement, or one command. `None` if there is nothing in them, or the user has cancelled the
/// statement with Ctrl-C.
fn read_statement(editor: &mut Editor<LineHelper, DefaultHistory>) -> Result<Option<String>, ReadlineError> {
    let mut text = String::new();
    loop {
        if let Some(helper) = editor.helper_mut() {
            helper.before.clone_from(&text);
        }
        let line = match editor.readline(if text.is_empty() { PROMPT } else { CONTINUATION_PROMPT }) {
            Err(ReadlineError::Interrupted) => return Ok(None),
            // A shell that is left in the middle of a statement does not run it.
            other => other?,
        };
        if text.is_empty() && commands::parse(&line).is_some() {
            return Ok(Some(line.trim().to_owned()));
        }
        text += &line;
        let dialect = editor.helper().map(LineHelper::dialect).unwrap_or_default();
        match Input::of(&text, dialect) {
            Input::Complete => return Ok(Some(text.trim().to_owned())),
            Input::Empty if text.trim().is_empty() => return Ok(None),
            Input::Empty | Input::Incomplete => text.push('\n'),
        }
    }
}

/// The state of the shell.
struct Shell<'a> {
    session: &'a Session,
    runtime: &'a Runtime,
    display: Display,
    timing: bool,
    pager: Option<Pager>,
    /// The file of `\o`.
    output: NextResult,
    /// The format before `\x`.
    before_expanded: Option<Format>,
}

impl Shell<'_> {
    fn command(&mut self, command: Command) -> Result<(), CliError> {
        match command {
            Command::Quit => {}
            Command::Help => eprintln!("{HELP}"),
            Command::Sql(query) => self.run(&query, self.screen())?,
            Command::Include(file) => match read(&path_of(&file)) {
                Ok(statements) => self.execute(&statements)?,
                Err(error) => error.print(),
            },
            Command::Timing => {
                self.timing = !self.timing;
                eprintln!("timing is {}", if self.timing { "on" } else { "off" });
            }
            Command::Mode(None) => {
                let format = self.display.format.unwrap_or(Format::Table);
                eprintln!("the format is {}; there are {}", format.name(), Format::names());
            }
            Command::Mode(Some(name)) => match Format::from_name(&name) {
                Some(format) => self.display.format = Some(format),
                None => {
                    let names = Format::names();
                    CliError::failure(format!("there is no format '{name}': use one of {names}")).print();
                }
            },
            Command::Expanded => {
                self.display.format = match self.display.format {
                    Some(Format::Line) => self.before_expanded.take(),
                    other => {
                        self.before_expanded = other;
                        Some(Format::Line)
                    }
                };
                eprintln!("the format is {}", self.display.format.unwrap_or(Format::Table).name());
            }
            Command::MaxRows(rows) => self.display.limits.rows = rows,
            Command::Pager(on) => {
                self.pager = on.unwrap_or(self.pager.is_none()).then(Pager::of_environment);
                match &self.pager {
                    Some(pager) => eprintln!("results are shown by '{}'", pager.command()),
                    None => eprintln!("the pager is off"),
                }
            }
            Command::Output(Some((path, overwrite))) => {
                self.output.set(Some(ResultFile { path: path_of(&path), overwrite }));
            }
            Command::Output(None) => self.output.set(None),
        }
        Ok(())
    }

    /// Runs statements and shows their results, or the error. The first result goes to the file of `\o`, if one waits.
    ///
    /// # Errors
    /// A signal ends the shell.
    fn execute(&mut self, statements: &str) -> Result<(), CliError> {
        let target = Target::NextResult(self.output.clone(), Box::new(self.screen()));
        let ended = self.run(statements, target);
        if let Some(file) = self.output.get() {
            let path = file.path.display().to_string();
            eprintln!("the next result goes to {}; \\o shows it here", escape_controls(&path));
        }
        ended
    }

    /// Where results are shown.
    fn screen(&self) -> Target {
        self.pager.clone().map_or(Target::Stdout, Target::Pager)
    }

    fn run(&self, statements: &str, target: Target) -> Result<(), CliError> {
        let mut display = self.display.clone();
        display.limits.width = terminal::width();
        display.started = self.timing.then(Instant::now);
        let thread =
            StatementThread { session: self.session, runtime: self.runtime, pager: self.pager.as_ref() };
        match thread.run(statements.to_owned(), display, target) {
            Ok(_) => {}
            Err(ended @ CliError::Interrupted(Signal::Terminate | Signal::HangUp)) => return Err(ended),
            Err(error) => error.print(),
        }
        Ok(())
    }

    /// Runs the statements in `rc.sql` in the user's configuration folder, if there is such a file.
    fn run_startup_file(&mut self) -> Result<(), CliError> {
        let file = dirs::config_dir().map(|folder| folder.join("warpframe").join("rc.sql"));
        let Some(file) = file.filter(|file| file.exists()) else { return Ok(()) };
        match read(&file) {
            Ok(statements) => self.execute(&statements),
            Err(error) => {
                error.print();
                Ok(())
            }
        }
    }
}

/// The path that a user has typed, in which `~` is the home folder.
fn path_of(typed: &str) -> PathBuf {
    let home = typed.strip_prefix("~/").zip(dirs::home_dir());
    home.map_or_else(|| PathBuf::from(typed), |(rest, home)| home.join(rest))
}

/// The path of `history.txt` in the user's data folder, which is created; `None` if that is not possible.
fn history_file() -> Option<PathBuf> {
    let folder = dirs::data_dir()?.join("warpframe");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history.txt"))
}
