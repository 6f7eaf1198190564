//! The interactive shell: line editing, history, statements of several lines, and commands.

mod commands;
mod completion;
mod editor;
mod sql_text;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustyline::completion::FilenameCompleter;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::runtime::Runtime;

use self::commands::{Command, HELP};
use self::editor::LineHelper;
use self::sql_text::Input;
use super::error::CliError;
use super::output::{Display, Format, Target};
use super::panic;
use super::signal::Signal;
use super::signals::{self, REACTION, interruptible, received};
use super::statements::{execute, read};
use super::terminal;
use super::words::count;
use crate::session::Session;

const PROMPT: &str = "warpframe> ";

/// The prompt of the lines of a statement after its first one.
const CONTINUATION_PROMPT: &str = "      ...> ";

/// How often a waiting shell looks for signals.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(20);

/// The stack of a statement's thread, in bytes: that of a main thread.
const STATEMENT_STACK: usize = 8 << 20;

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
    let mut shell = Shell { session, runtime, display, timing: true, pager: None, output: None };
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
    pager: Option<String>,
    /// Where the next result goes.
    output: Option<Target>,
}

impl Shell<'_> {
    fn command(&mut self, command: Command) -> Result<(), CliError> {
        match command {
            Command::Quit => {}
            Command::Help => eprintln!("{HELP}"),
            Command::Sql(query) => self.execute(&query)?,
            Command::Include(file) => match read(&PathBuf::from(file)) {
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
                let is_expanded = self.display.format == Some(Format::Line);
                self.display.format = if is_expanded { None } else { Some(Format::Line) };
                eprintln!("the format is {}", if is_expanded { Format::Table } else { Format::Line }.name());
            }
            Command::MaxRows(rows) => self.display.limits.rows = rows,
            Command::Pager(on) => {
                self.pager = match on.unwrap_or(self.pager.is_none()) {
                    true => Some(std::env::var("PAGER").unwrap_or_else(|_| "less -S".to_owned())),
                    false => None,
                };
                match &self.pager {
                    Some(pager) => eprintln!("results are shown by '{pager}'"),
                    None => eprintln!("the pager is off"),
                }
            }
            Command::Output(path, overwrite) => {
                self.output = Some(Target::of(Path::new(&path), overwrite));
            }
        }
        Ok(())
    }

    /// Runs statements and shows their results, or the error.
    ///
    /// # Errors
    /// A signal ends the shell.
    fn execute(&mut self, statements: &str) -> Result<(), CliError> {
        let start = Instant::now();
        let mut display = self.display.clone();
        display.limits.width = terminal::width();
        display.started = self.timing.then_some(start);
        let target = match (self.output.take(), &self.pager) {
            (Some(file), _) => file,
            (None, Some(pager)) => Target::Pager(pager.clone()),
            (None, None) => Target::Stdout,
        };
        // A file whose name tells no format gets that of the shell, and one whose name does gets its own.
        if let Target::File { path, .. } = &target
            && Format::of_output(path, None).is_ok()
        {
            display.format = None;
        }
        match self.run_in_thread(statements.to_owned(), display, target.clone()) {
            Ok(rows) => match &target {
                Target::File { path, .. } => eprintln!("{} in {}", count(rows, "row"), path.display()),
                Target::Stdout | Target::Pager(_) => {}
            },
            Err(ended @ CliError::Interrupted(Signal::Terminate | Signal::HangUp)) => return Err(ended),
            Err(error) => error.print(),
        }
        Ok(())
    }

    /// Runs statements in a thread of their own, which is left behind if it does not notice a signal: Ctrl-C ends a statement
    /// even if it computes or waits inside one call.
    fn run_in_thread(&self, statements: String, display: Display, target: Target) -> Result<u64, CliError> {
        let (session, handle) = (self.session.clone(), self.runtime.handle().clone());
        let before = received().count;
        let (done, ended) = channel();
        let run = move || {
            let ended = handle.block_on(interruptible(execute(&session, &statements, &display, &target)));
            let _ = done.send(ended);
        };
        std::thread::Builder::new()
            .name("statement".to_owned())
            .stack_size(STATEMENT_STACK)
            .spawn(run)
            .map_err(|error| CliError::failure(format!("cannot start a thread: {error}")))?;
        let mut interrupted: Option<Instant> = None;
        loop {
            match ended.recv_timeout(SIGNAL_INTERVAL) {
                Ok(ended) => return ended,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(CliError::failure(panic::worker_stopped()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let received = received();
            let (Some(signal), signals) = (received.last, received.count - before) else { continue };
            if signals > 0 {
                let since = interrupted.get_or_insert_with(Instant::now);
                if signals > 1 || since.elapsed() > REACTION {
                    eprintln!(
                        "the statement does not end at once: its present step goes on in the background"
                    );
                    return Err(CliError::Interrupted(signal));
                }
            }
        }
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

/// The path of `history.txt` in the user's data folder, which is created; `None` if that is not possible.
fn history_file() -> Option<PathBuf> {
    let folder = dirs::data_dir()?.join("warpframe");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history.txt"))
}
