//! The tokio runtime of a command, and its clean-up at the end.

use std::num::NonZeroUsize;

use tokio::runtime::Runtime;

use super::error::CliError;
use super::signals::interruptible;
use crate::terminal_text::escape_controls;
use warpframe_datafusion::runtime_builder;

/// A multi-threaded runtime with one worker per core.
pub fn runtime() -> Result<Runtime, CliError> {
    runtime_builder(all_cores())
        .build()
        .map_err(|error| CliError::failure(format!("cannot start threads: {error}")))
}

/// Runs the work of a command until it ends or a signal arrives, and then pending clean-up tasks. Does not wait for threads
/// that still compute what was interrupted.
pub fn run_to_end<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = runtime()?;
    let ended = runtime.block_on(interruptible(async {
        let ended = work.await;
        flush_cleanup().await;
        ended
    }));
    if ended.is_err() {
        runtime.block_on(flush_cleanup());
    }
    runtime.shutdown_background();
    ended
}

/// Waits for pending clean-up tasks, and prints a warning for each that failed.
pub async fn flush_cleanup() {
    for failure in warpframe_io::flush_cleanup().await {
        eprintln!("warning: {}", escape_controls(&failure));
    }
}

/// The number of cores available to this process.
pub fn all_cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
