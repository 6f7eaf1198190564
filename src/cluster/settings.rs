//! The cluster that a session uses.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::address::ClusterAddress;
use super::status::JobProgress;
use super::token::Token;

/// How long a query waits for an executor to appear if nothing else is said.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// Hears how far a query on a cluster has come, and nothing when it has ended.
pub type ClusterProgress = Arc<dyn Fn(Option<JobProgress>) + Send + Sync>;

/// The cluster that a session's queries run on.
#[derive(Clone)]
pub struct ClusterSettings {
    /// The scheduler.
    pub address: ClusterAddress,
    /// The cluster's token; the one that the environment or a scheduler on this host names by default.
    pub token: Option<Token>,
    /// How long a query waits for an executor to appear.
    pub wait: Duration,
    /// Hears how far a query has come.
    pub progress: Option<ClusterProgress>,
    /// The folder below which the executors' work folders are, if it is on this machine: results are then read from
    /// their files.
    pub local_work_dir: Option<PathBuf>,
}

impl ClusterSettings {
    /// The cluster at this address, with the defaults.
    pub fn new(address: ClusterAddress) -> Self {
        Self { address, token: None, wait: DEFAULT_WAIT, progress: None, local_work_dir: None }
    }
}

impl From<ClusterAddress> for ClusterSettings {
    fn from(address: ClusterAddress) -> Self {
        Self::new(address)
    }
}

impl fmt::Debug for ClusterSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterSettings").field("address", &self.address).field("wait", &self.wait).finish()
    }
}
