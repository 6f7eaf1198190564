//! The threads of a command, and its clean-up at the end.

use std::num::NonZeroUsize;

use tokio::runtime::Runtime;

use super::error::CliError;

pub fn runtime() -> Result<Runtime, CliError> {
    Runtime::new().map_err(|error| CliError::failure(format!("cannot start threads: {error}")))
}

/// Waits for the clean-up of what this process has given up or finished.
pub async fn flush_cleanup() {
    for failure in warpframe::flush_cleanup().await {
        eprintln!("warning: {failure}");
    }
}

/// As many threads as the machine has for us.
pub fn all_cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
