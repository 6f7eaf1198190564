//! The pager: a shell command that shows results, such as `less`.

use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use datafusion::dataframe::DataFrame;
use parking_lot::Mutex;

use super::display::{Display, ShowProgress};
use super::format::Format;
use super::rows::stream;
use super::table::Limits;
use crate::command::error::CliError;
use crate::command::signals::received;

/// How often is looked whether the pager has ended.
const INTERVAL: Duration = Duration::from_millis(20);

/// A pager. Clones share the process.
#[derive(Debug, Clone)]
pub struct Pager {
    command: String,
    process: Arc<Mutex<Option<Child>>>,
}

impl Pager {
    /// The command in the environment variable `PAGER`, or `less -S`.
    pub fn of_environment() -> Self {
        let command = std::env::var("PAGER").ok().filter(|command| !command.trim().is_empty());
        Self { command: command.unwrap_or_else(|| "less -S".to_owned()), process: Arc::default() }
    }

    /// The shell command.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Whether the process runs, which reads the keys of the terminal then.
    pub fn is_open(&self) -> bool {
        matches!(self.process.lock().as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// Starts the process. It reads what is written to the second value.
    ///
    /// # Errors
    /// There is no shell.
    pub fn open(&self) -> Result<(OpenPager<'_>, ChildStdin), CliError> {
        let mut command = Command::new("sh");
        let mut child =
            command.args(["-c", &self.command]).stdin(Stdio::piped()).spawn().map_err(|error| {
                CliError::failure(format!("cannot run the pager '{}': {error}", self.command))
            })?;
        let stdin = child.stdin.take();
        *self.process.lock() = Some(child);
        let open = OpenPager(self);
        let stdin = stdin.ok_or_else(|| CliError::failure("the pager has no standard input"))?;
        Ok((open, stdin))
    }
}

/// Writes to a pager, which shows all rows and columns, and waits until the user quits it.
pub(super) async fn write(query: DataFrame, display: &Display, pager: &Pager) -> Result<u64, CliError> {
    let format = display.format.filter(|format| !format.is_binary()).unwrap_or(Format::Table);
    let signals = received().count;
    let (open, stdin) = pager.open()?;
    let written = stream(query, display, format, Limits::default(), ShowProgress::Never, stdin).await;
    let status = open.wait();
    match (written, status) {
        (Err(error), _) if !matches!(error, CliError::ClosedOutput) => Err(error),
        // Ctrl-C ends some pagers, too.
        (_, Some(status)) if !status.success() && received().count == signals => {
            Err(CliError::failure(format!(
                "the pager '{}' has failed ({status}): set PAGER to another command, or show results without it with \\pager off",
                pager.command()
            )))
        }
        // The user has quit the pager before the last row.
        (written, _) => Ok(written.unwrap_or(0)),
    }
}

/// A pager that runs. Dropping the value waits for its end, whatever signals arrive: until then the terminal is the pager's.
pub struct OpenPager<'a>(&'a Pager);

impl OpenPager<'_> {
    /// Waits until the user has quit the pager. `None` if its status is not known.
    pub fn wait(self) -> Option<ExitStatus> {
        self.wait_for_end()
    }

    /// Blocks the thread, which has nothing else to do. The process is not locked meanwhile, so that others can ask whether it runs.
    fn wait_for_end(&self) -> Option<ExitStatus> {
        loop {
            match self.0.process.lock().as_mut().map(Child::try_wait) {
                Some(Ok(None)) => {}
                Some(Ok(status)) => return status,
                Some(Err(_)) | None => return None,
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

impl Drop for OpenPager<'_> {
    fn drop(&mut self) {
        self.wait_for_end();
        *self.0.process.lock() = None;
    }
}
