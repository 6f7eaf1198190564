//! The connections of an executor to others: one for each address, on which all transfers run side by side.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::error::Result;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::utils::GrpcClientConfig;
use parking_lot::Mutex;

/// How many addresses are remembered; executors come and go.
const MAX_CLIENTS: usize = 4096;

/// Connections by their addresses. A connection that breaks is opened anew by its next user.
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
        let known = self.open.lock().get(&address).cloned();
        let client = match known {
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
        // It is shared, not handed back.
        Ok(PooledClient::new(client, Box::new(drop)))
    }

    async fn evict_idle(&self) {}
}
