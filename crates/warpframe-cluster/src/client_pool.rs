//! The pool of connections from an executor to others: one HTTP/2 connection for each address, shared by all transfers.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::error::Result;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::utils::GrpcClientConfig;
use parking_lot::Mutex;

/// The number of connections at which the pool is cleared: addresses of former executors would accumulate otherwise.
const MAX_CLIENTS: usize = 4096;

/// Connections by address. tonic reconnects a broken connection at its next use.
#[derive(Default)]
pub(super) struct SharedClientPool {
    open: Mutex<HashMap<(String, u16), BallistaClient>>,
}

impl std::fmt::Debug for SharedClientPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedClientPool").field("open", &self.open.lock().len()).finish()
    }
}

#[async_trait]
impl BallistaClientPool for SharedClientPool {
    async fn acquire(
        &self,
        host: &str,
        port: u16,
        config: &GrpcClientConfig,
        endpoint: Option<Arc<BallistaConfigGrpcEndpoint>>,
    ) -> Result<PooledClient> {
        let address = (host.to_owned(), port);
        let pooled = self.open.lock().get(&address).cloned();
        let client = match pooled {
            Some(client) => client,
            None => {
                let client = BallistaClient::try_new(
                    host,
                    port,
                    config.max_message_size,
                    config.use_tls,
                    endpoint,
                    config.io_retries_times,
                    config.io_retry_wait_time_ms,
                    config.initial_connection_window_size,
                    config.initial_stream_window_size,
                )
                .await?;
                let mut open = self.open.lock();
                if open.len() >= MAX_CLIENTS {
                    open.clear();
                }
                open.insert(address, client.clone());
                client
            }
        };
        // The connection stays in the pool, so there is nothing to return.
        Ok(PooledClient::new(client, Box::new(drop)))
    }

    async fn evict_idle(&self) {}
}
