//! The version, the intervals and the limits that all processes of a cluster share.

use datafusion::common::{Result, exec_err};

/// The version of warpframe, which all processes of a cluster must share.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The interval of heartbeats from executors to the scheduler.
pub(super) const HEARTBEAT_INTERVAL_SECONDS: u64 = 2;

/// The time without a heartbeat after which the scheduler removes an executor and runs its tasks elsewhere.
pub(super) const EXECUTOR_TIMEOUT_SECONDS: u64 = 10;

/// The largest gRPC message. A plan is one message; a result is a stream of messages.
pub(super) const MAX_MESSAGE_BYTES: u32 = 64 * 1024 * 1024;

/// Checks that another process has this version.
///
/// # Errors
/// It has another one; `process` names it in the message.
pub(super) fn check_version(process: &str, version: &str) -> Result<()> {
    match version == VERSION {
        true => Ok(()),
        false => exec_err!(
            "{process} is warpframe {version} and this is warpframe {VERSION}: use one version on all hosts"
        ),
    }
}
