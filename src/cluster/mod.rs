//! The cluster: Apache Ballista's scheduler and executors inside this binary, and sessions that send their
//! queries to them. A query is planned where the session is; the physical plan travels (`codec`), is cut
//! into tasks by the scheduler and run by the executors, each with the best backend it has.
//!
//! - `client` speaks with a scheduler; `planner` and `exec` put it behind a session.
//! - `scheduler`, `executor` and `local` are the processes.
//! - `token` is the secret that every request carries, `guard` asks for it at every port.
//! - `status` is what they say of themselves.

mod auth_layer;
mod client;
mod client_pool;
mod cluster_exec;
mod executor;
mod executor_service;
mod file_list_scan_exec;
mod ipc_scan_exec;
mod local_cluster;
mod memtable_staging;
mod mmap_ipc_reader;
mod physical_codec;
mod query_planner;
mod remote_metrics;
mod result_reader;
mod scheduler;
mod stage_engine;
mod status;
mod status_service;
mod token;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ballista_core::config::BallistaConfig;
use ballista_core::extension::{SessionConfigExt, SessionConfigHelperExt};
use datafusion::prelude::SessionConfig;

pub use client::{ClusterAddress, ClusterClient};
pub(crate) use cluster_exec::{COMPUTE_TIME, GATHER_TIME};
pub use cluster_exec::{ClusterExec, ClusterProgress};
pub use executor::{ExecutorOptions, run_executor};
pub use local_cluster::LocalCluster;
pub use physical_codec::ClusterCodec;
pub(crate) use query_planner::{ClusterPlanner, as_cluster_exec};
pub use scheduler::{Scheduler, SchedulerOptions};
pub use status::{ClusterStatus, ExecutorStatus, JobProgress, JobStatus};
pub use token::{TOKEN_VARIABLE, Token};

use crate::config::WarpframeOptions;
use remote_metrics::ReportOptions;

/// The version that all processes of a cluster have to have.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The port schedulers listen on if none is named.
pub const DEFAULT_PORT: u16 = 50050;

/// How long a query waits for an executor to appear if nothing else is said.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(10);

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
    pub files: Option<PathBuf>,
}

impl ClusterSettings {
    /// The cluster at this address, with the defaults.
    pub fn new(address: ClusterAddress) -> Self {
        Self { address, token: None, wait: DEFAULT_WAIT, progress: None, files: None }
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

/// How often executors say that they are alive.
const HEARTBEAT_SECONDS: u64 = 2;

/// After how long without a sign an executor is given up, and its tasks run elsewhere.
const EXECUTOR_TIMEOUT_SECONDS: u64 = 10;

/// The largest message between the processes: plans travel in one, and rows in many.
const MESSAGE_BYTES: u32 = 64 * 1024 * 1024;

/// The configuration that every process of a cluster starts from; a client's settings are put on top.
fn base_config() -> SessionConfig {
    let config = SessionConfig::new()
        .with_option_extension(WarpframeOptions::default())
        .with_option_extension(ReportOptions::default());
    clustered(config)
}

/// A session's configuration with what queries on a cluster need.
pub(crate) fn clustered(config: SessionConfig) -> SessionConfig {
    let ballista = [
        // One partition is one task: what is lost with an executor is small, and no slot waits for another.
        ("ballista.scheduler.max_partitions_per_task", "1"),
        // Computed numbers hardly compress, and the attempt costs more than the bytes.
        ("ballista.shuffle.compression.codec", "none"),
        ("ballista.client.io_retry_wait_time_ms", "500"),
    ];
    let mut config = config
        .with_option_extension(BallistaConfig::default())
        .upgrade_for_ballista()
        .ballista_restricted_configuration()
        .with_ballista_grpc_client_max_message_size(MESSAGE_BYTES as usize);
    for (key, value) in ballista {
        config = config.set_str(key, value);
    }
    config
}
