//! The version, the intervals and the limits that all processes of a cluster share.

use std::sync::OnceLock;

use datafusion::common::{Result, exec_err};

/// The version of warpframe. All processes of a cluster must have it, and be built from the same revision of the sources.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version with the revision, once it is known.
static BUILD: OnceLock<String> = OnceLock::new();

/// Sets the revision of the sources that this program was built from, such as `1f2e3d4c5b6a-dirty`, or `unknown`. The first
/// call counts. Processes that know their revisions work together only if they are equal.
///
/// It is set at run time, because a build script of this crate would build it again after every commit.
pub fn set_revision(revision: &str) {
    if revision != "unknown" {
        BUILD.get_or_init(|| format!("{VERSION}+{revision}"));
    }
}

/// The version, with the revision after a `+` if it is known.
pub(super) fn build() -> &'static str {
    BUILD.get().map_or(VERSION, String::as_str)
}

/// The interval of heartbeats from executors to the scheduler.
pub(super) const HEARTBEAT_INTERVAL_SECONDS: u64 = 2;

/// The time without a heartbeat after which the scheduler removes an executor and runs its tasks elsewhere.
pub(super) const EXECUTOR_TIMEOUT_SECONDS: u64 = 10;

/// The largest gRPC message. A plan is one message; a result is a stream of messages.
pub(super) const MAX_MESSAGE_BYTES: u32 = 64 * 1024 * 1024;

/// Checks that another process has this version, and this revision if both are known.
///
/// # Errors
/// It has another one; `process` names it in the message.
pub(super) fn check_version(process: &str, build: &str) -> Result<()> {
    match is_compatible(build, self::build()) {
        true => Ok(()),
        false => exec_err!(
            "{process} is warpframe {build} and this is warpframe {}: use one build on all hosts",
            self::build()
        ),
    }
}

fn is_compatible(one: &str, other: &str) -> bool {
    match (one.split_once('+'), other.split_once('+')) {
        (Some(one), Some(other)) => one == other,
        (one_build, other_build) => {
            one_build.map_or(one, |(version, _)| version) == other_build.map_or(other, |(version, _)| version)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_compatible_if_what_is_known_is_equal() {
        for (one, other, expected) in [
            ("1.0.0", "1.0.0", true),
            ("1.0.0", "1.0.1", false),
            ("1.0.0+abc", "1.0.0+abc", true),
            ("1.0.0+abc", "1.0.0+abd", false),
            ("1.0.0+abc", "1.0.0+abc-dirty", false),
            ("1.0.0+abc", "1.0.0", true),
            ("1.0.0", "1.0.0+abc", true),
            ("1.0.0+abc", "1.0.1", false),
            ("", "1.0.0", false),
        ] {
            assert_eq!(is_compatible(one, other), expected, "{one} and {other}");
        }
    }
}
