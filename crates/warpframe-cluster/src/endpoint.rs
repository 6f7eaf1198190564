//! Connections between the processes of a cluster: the token in their requests, TLS, timeouts.
//!
//! The token is the second word of the `user-agent` header: for connections that Ballista opens, it only allows to
//! configure the tonic endpoint, and this is the only header that an endpoint can set.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::extension::EndpointOverrideFn;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use tonic::transport::{Channel, Endpoint};

use super::protocol::build;
use super::tls::{Tls, tls_failure};
use super::token::Token;

/// The timeout of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of requests on connections that Ballista opens.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// What authenticates and encrypts the connections of a process.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionSecurity {
    pub token: Option<Token>,
    pub tls: Option<Tls>,
}

impl ConnectionSecurity {
    /// The endpoint at a host, a name or an IP address, IPv6 in brackets.
    ///
    /// # Errors
    /// The host is not valid.
    pub fn endpoint(&self, host: &str, port: u16) -> Result<Endpoint> {
        let external = |error: tonic::transport::Error| DataFusionError::External(error.into());
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{host}:{port}"))
            .map_err(external)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            // Detects a host that was cut off within 10 seconds.
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5));
        if let Some(token) = &self.token {
            let agent = format!("warpframe/{} {}", build(), token.secret());
            endpoint = endpoint.user_agent(agent).map_err(external)?;
        }
        match &self.tls {
            Some(tls) => endpoint.tls_config(tls.client(host)).map_err(external),
            None => Ok(endpoint),
        }
    }

    /// Connects to a host and port.
    ///
    /// # Errors
    /// Nothing answers there, or it is not trusted.
    pub async fn connect(&self, host: &str, port: u16) -> Result<Channel> {
        self.endpoint(host, port)?.connect().await.map_err(|error| match tls_failure(&error) {
            Some(cause) => exec_datafusion_err!("{host}:{port} cannot be trusted: {cause}"),
            None => exec_datafusion_err!("nothing answers at {host}:{port}"),
        })
    }

    /// [`endpoint`](Self::endpoint) as a callback for the connections that Ballista opens, with URLs of the scheme `http`.
    pub fn endpoint_override(&self) -> EndpointOverrideFn {
        let security = self.clone();
        Arc::new(move |endpoint: Endpoint| {
            let (host, port) = (endpoint.uri().host().unwrap_or_default(), endpoint.uri().port_u16());
            Ok(security.endpoint(host, port.unwrap_or_default())?.timeout(REQUEST_TIMEOUT))
        })
    }
}
