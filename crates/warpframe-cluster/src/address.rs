//! The address of a scheduler.

use std::fmt;
use std::str::FromStr;

use datafusion::common::{DataFusionError, Result};

/// The default port of a scheduler.
pub const DEFAULT_PORT: u16 = 50050;

/// The address of a scheduler: `df://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterAddress {
    host: String,
    port: u16,
}

impl ClusterAddress {
    /// The address with this host, a name or an IP address, and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// The host: a name or an IP address, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}

impl FromStr for ClusterAddress {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self> {
        let authority = text.strip_prefix("df://").map(|rest| rest.trim_end_matches('/'));
        let parts = authority.and_then(|authority| authority.rsplit_once(':'));
        match parts.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            Some((host, port)) if !host.is_empty() && !host.contains('/') && port != 0 => {
                Ok(Self::new(host, port))
            }
            _ => Err(DataFusionError::Configuration(format!(
                "'{text}' is not the address of a cluster: use df://HOST:PORT"
            ))),
        }
    }
}
