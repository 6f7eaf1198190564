//! How executors are started.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::address::ClusterAddress;
use super::token::Token;

/// How an executor is started.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// The scheduler it works for.
    pub scheduler: ClusterAddress,
    /// The cluster's token; the one that the environment or a scheduler on this host names by default.
    pub token: Option<Token>,
    /// The address it listens at.
    pub bind: IpAddr,
    /// The name or number by which others reach this host; the one from which it connects by default.
    pub advertise: Option<String>,
    /// The port it listens at; a free one by default.
    pub port: Option<u16>,
    /// How many tasks it runs at a time.
    pub slots: NonZeroUsize,
    /// Where intermediate results lie; a temporary folder by default.
    pub work_dir: Option<PathBuf>,
    /// Bytes that the operators of all its tasks may hold together; 70 % of the machine's by default.
    pub memory_limit: Option<usize>,
}
