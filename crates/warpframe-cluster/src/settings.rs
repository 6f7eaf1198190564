//! The cluster settings of a session.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::address::ClusterAddress;
use super::status::JobProgress;
use super::tls::Tls;
use super::token::Token;

/// The default time that a query waits for the first executor.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// A callback with the progress of a query on a cluster, and with `None` when the query has ended.
pub type ClusterProgress = Arc<dyn Fn(Option<JobProgress>) + Send + Sync>;

/// The cluster on which a session runs its queries.
#[derive(Clone)]
pub struct ClusterSettings {
    /// The address of the scheduler.
    pub address: ClusterAddress,
    /// The cluster's token; by default the one that [`Token::find`] finds.
    pub token: Option<Token>,
    /// The certificates with which connections are encrypted and authenticated; none by default.
    pub tls: Option<Tls>,
    /// The time that a query waits for the first executor.
    pub wait: Duration,
    /// The progress callback.
    pub progress: Option<ClusterProgress>,
    /// The parent of the executors' work folders, if it is on this machine: results are then memory-mapped instead of
    /// fetched. `None` by default.
    pub local_work_dir: Option<PathBuf>,
    /// The folder for in-memory tables that executors on this machine read; the temporary folder by default.
    pub staging_dir: Option<PathBuf>,
}

impl ClusterSettings {
    /// The default settings for the cluster at this address.
    pub fn new(address: ClusterAddress) -> Self {
        Self {
            address,
            token: None,
            tls: None,
            wait: DEFAULT_WAIT,
            progress: None,
            local_work_dir: None,
            staging_dir: None,
        }
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
