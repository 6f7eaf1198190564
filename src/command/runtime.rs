//! The tokio runtime of a command, and its clean-up at the end.

use std::num::NonZeroUsize;

use tokio::runtime::Runtime;

use super::error::CliError;

/// A multi-threaded runtime with one worker per core.
pub fn runtime() -> Result<Runtime, CliError> {
    Runtime::new().map_err(|error| CliError::failure(format!("cannot start threads: {error}")))
}

/// Waits for pending clean-up tasks, and prints a warning for each that failed.
pub async fn flush_cleanup() {
    for failure in warpframe_io::flush_cleanup().await {
        eprintln!("warning: {failure}");
    }
}

/// The number of cores available to this process.
pub fn all_cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
