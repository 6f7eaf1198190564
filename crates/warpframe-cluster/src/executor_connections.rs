//! Connections to executors: one HTTP/2 connection for each address, shared by all transfers of a process.

use std::collections::HashMap;

use datafusion::common::Result;
use parking_lot::Mutex;
use tonic::transport::Channel;

use super::endpoint::ConnectionSecurity;

/// The number of connections at which the pool is cleared: addresses of former executors would accumulate otherwise.
const MAX_CONNECTIONS: usize = 4096;

/// Connections by address. tonic reconnects a broken connection at its next use.
#[derive(Debug)]
pub(super) struct ExecutorConnections {
    security: ConnectionSecurity,
    open: Mutex<HashMap<(String, u16), Channel>>,
}

impl ExecutorConnections {
    /// Connections with this token and these certificates.
    pub fn new(security: ConnectionSecurity) -> Self {
        Self { security, open: Mutex::default() }
    }

    /// The connection to an address.
    ///
    /// # Errors
    /// Nothing answers there, or it is not trusted.
    pub async fn connect(&self, host: &str, port: u16) -> Result<Channel> {
        let address = (host.to_owned(), port);
        if let Some(channel) = self.open.lock().get(&address) {
            return Ok(channel.clone());
        }
        let channel = self.security.connect(host, port).await?;
        let mut open = self.open.lock();
        if open.len() >= MAX_CONNECTIONS {
            open.clear();
        }
        open.insert(address, channel.clone());
        Ok(channel)
    }
}
