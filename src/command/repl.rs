//! The interactive shell: line editing, history and multi-line statements.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Editor, Helper};
use tokio::runtime::Runtime;

use super::error::CliError;
use super::output::Format;
use super::panic;
use super::signal::Signal;
use super::signals::{REACTION, Shell, interruptible, received};
use super::statements::execute;
use crate::session::Session;

/// How often a waiting shell looks for signals.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(20);

/// The stack of a statement's thread, in bytes: that of a main thread.
const STATEMENT_STACK: usize = 8 << 20;

const HELP: &str = "\
  \\d         list the tables        \\d NAME   describe a table
  \\timing    toggle timing          \\q        quit
  A statement ends with ';'. Ctrl-C cancels the statement or the running query.";

/// Reads and runs statements until the user quits.
pub fn run(session: &Session, runtime: &Runtime, format: Format) -> Result<(), CliError> {
    let _shell = Shell::start();
    let mut editor: Editor<Statements, DefaultHistory> = Editor::new().map_err(CliError::failure)?;
    editor.set_helper(Some(Statements));
    let history = history_file();
    let mut has_history = true;
    if let Some(history) = &history {
        // The file does not exist before the first session.
        let _ = editor.load_history(history);
    }
    eprintln!("warpframe {}: \\? shows the commands", env!("CARGO_PKG_VERSION"));
    let mut timing = false;
    loop {
        let line = match editor.readline("warpframe> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(CliError::failure(error)),
        };
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let _ = editor.add_history_entry(text);
        // At once, because a signal may end the shell while it waits for a line.
        if let Some(history) = &history
            && has_history
            && let Err(error) = editor.append_history(history)
        {
            eprintln!("cannot save the history to '{}': {error}", history.display());
            has_history = false;
        }
        let (command, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let statement = match command.trim_end_matches(';') {
            "\\q" => break,
            "\\?" => {
                eprintln!("{HELP}");
                continue;
            }
            "\\timing" => {
                timing = !timing;
                eprintln!("timing is {}", if timing { "on" } else { "off" });
                continue;
            }
            "\\d" if argument.is_empty() => "SELECT table_name, table_type FROM information_schema.tables \
                 WHERE table_schema <> 'information_schema' ORDER BY table_name"
                .to_owned(),
            "\\d" => format!("DESCRIBE {argument}"),
            unknown if unknown.starts_with('\\') => {
                eprintln!("error: there is no command {unknown}: \\? shows the commands");
                continue;
            }
            _ => text.to_owned(),
        };
        let start = Instant::now();
        match run_statement(session, runtime, statement, format) {
            Ok(rows) if timing => eprintln!("{rows} rows, {:.3} s", start.elapsed().as_secs_f64()),
            Ok(_) => {}
            Err(ended @ CliError::Interrupted(Signal::Terminate | Signal::HangUp)) => return Err(ended),
            Err(error) => error.print(),
        }
    }
    Ok(())
}

/// Runs a statement in a thread of its own, which is left behind if it does not notice a signal: Ctrl-C ends a statement even
/// if it computes or waits inside one call.
fn run_statement(
    session: &Session,
    runtime: &Runtime,
    statement: String,
    format: Format,
) -> Result<u64, CliError> {
    let (session, handle) = (session.clone(), runtime.handle().clone());
    let before = received().count;
    let (done, ended) = channel();
    let run = move || {
        let ended = handle.block_on(interruptible(execute(&session, &statement, format, None)));
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
            Err(RecvTimeoutError::Disconnected) => return Err(CliError::failure(panic::worker_stopped())),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let received = received();
        let (Some(signal), signals) = (received.last, received.count - before) else { continue };
        if signals > 0 {
            let since = interrupted.get_or_insert_with(Instant::now);
            if signals > 1 || since.elapsed() > REACTION {
                eprintln!("the statement does not end at once: its present step goes on in the background");
                return Err(CliError::Interrupted(signal));
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

/// Tells the editor whether a statement is complete.
struct Statements;

impl Validator for Statements {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let input = context.input().trim();
        let complete = input.is_empty() || input.starts_with('\\') || input.ends_with(';');
        Ok(if complete { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for Statements {
    type Candidate = String;
}

impl Hinter for Statements {
    type Hint = String;
}

impl Highlighter for Statements {}

impl Helper for Statements {}
