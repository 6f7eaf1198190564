//! Errors as one message for the user, with the position in the query if it is known.

use std::fmt::Display;

use super::signal::Signal;
use crate::error_text::{self, with_position};
use crate::terminal_text::escape_controls;
use datafusion::common::DataFusionError;

/// Exit codes of the process.
pub const SUCCESS: u8 = 0;
pub const FAILURE: u8 = 1;
pub const USAGE: u8 = 2;

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
    Interrupted(Signal),
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
        Self::Failure(with_position(root_message(&error), &error, query))
    }

    /// Prints the message to stderr. It may quote data, whose control characters are escaped.
    pub fn print(&self) {
        match self {
            Self::Usage(message) | Self::Failure(message) => eprintln!("error: {}", escape_controls(message)),
            Self::Io(error) => eprintln!("error: {}", escape_controls(&error.to_string())),
            Self::Interrupted(_) => eprintln!("interrupted"),
            Self::ClosedOutput => {}
        }
    }

    /// Prints the message to stderr and returns the exit code.
    pub fn report(&self) -> u8 {
        self.print();
        match self {
            Self::Usage(_) => USAGE,
            Self::Failure(_) | Self::Io(_) => FAILURE,
            Self::Interrupted(signal) => signal.exit_code(),
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

/// The message of the root cause, on one line.
pub fn root_message(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::ExecutionJoin(error) if error.is_panic() => super::panic::worker_stopped(),
        _ => error_text::root_message(error),
    }
}
