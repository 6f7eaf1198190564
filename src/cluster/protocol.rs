//! What all processes of a cluster have in common.

use datafusion::common::{Result, exec_err};

/// The version that all processes of a cluster have to have.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How often executors say that they are alive.
pub(super) const HEARTBEAT_INTERVAL_SECONDS: u64 = 2;

/// After how long without a sign an executor is given up, and its tasks run elsewhere.
pub(super) const EXECUTOR_TIMEOUT_SECONDS: u64 = 10;

/// The largest message between the processes: plans travel in one, and rows in many.
pub(super) const MAX_MESSAGE_BYTES: u32 = 64 * 1024 * 1024;

pub(super) fn check_version(who: &str, version: &str) -> Result<()> {
    match version == VERSION {
        true => Ok(()),
        false => exec_err!(
            "{who} is warpframe {version} and this is warpframe {VERSION}: use one version on all hosts"
        ),
    }
}
