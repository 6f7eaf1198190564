//! The address of a scheduler.

use std::fmt;
use std::str::FromStr;

use datafusion::common::{DataFusionError, Result};

/// The default port of a scheduler.
pub const DEFAULT_PORT: u16 = 50050;

/// The address of a scheduler: `df://host:port`, also without `df://` or without `:port`, which is [`DEFAULT_PORT`] then.
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
        let authority = text.strip_prefix("df://").unwrap_or(text).trim_end_matches('/');
        // The colons of an IPv6 address are inside of brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
            _ => (authority, Some(DEFAULT_PORT)),
        };
        let is_ipv6 = host.starts_with('[') && host.ends_with(']');
        let is_host = !host.is_empty() && !host.contains('/') && (is_ipv6 || !host.contains(':'));
        match port.filter(|port| *port != 0 && is_host) {
            Some(port) => Ok(Self::new(host, port)),
            None => Err(DataFusionError::Configuration(format!(
                "'{text}' is not the address of a cluster: use df://HOST:PORT or HOST:PORT"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_and_the_port_may_be_left_out() {
        let parsed = |text: &str| text.parse::<ClusterAddress>().ok().map(|address| address.to_string());
        for (text, address) in [
            ("df://alpha:1234", "df://alpha:1234"),
            ("df://alpha:1234/", "df://alpha:1234"),
            ("alpha:1234", "df://alpha:1234"),
            ("alpha", "df://alpha:50050"),
            ("df://10.0.0.1", "df://10.0.0.1:50050"),
            ("[::1]:1234", "df://[::1]:1234"),
            ("[::1]", "df://[::1]:50050"),
        ] {
            assert_eq!(parsed(text).as_deref(), Some(address), "{text}");
        }
        for wrong in
            ["", "df://", "alpha:", "alpha:0", "alpha:99999", ":1234", "http://alpha:1234", "a/b:1", "::1"]
        {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
