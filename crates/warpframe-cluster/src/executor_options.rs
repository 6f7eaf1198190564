//! The options of an executor.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::address::ClusterAddress;
use super::tls::Tls;
use super::token::Token;
use warpframe_datafusion::memory::MemoryLimit;

/// The options of an executor.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// The address of the scheduler.
    pub scheduler: ClusterAddress,
    /// The cluster's token; by default the one that [`Token::find`] finds.
    pub token: Option<Token>,
    /// The certificates with which connections are encrypted and authenticated; none by default.
    pub tls: Option<Tls>,
    /// The IP address to listen on.
    pub bind: IpAddr,
    /// The host name or IP address under which other processes reach this host; by default the source address of the
    /// connection to the scheduler.
    pub advertise: Option<String>,
    /// The port to listen on; a free one by default.
    pub port: Option<u16>,
    /// The number of tasks that run concurrently.
    pub slots: NonZeroUsize,
    /// The parent of the work folder, which holds shuffle and spill files; the temporary folder by default.
    pub work_dir: Option<PathBuf>,
    /// The memory limit of all tasks together. Every slot has an equal share.
    pub memory_limit: MemoryLimit,
}
