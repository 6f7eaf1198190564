//! The renewal of a job's lease by its client.

use std::sync::{OnceLock, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::client::ClusterClient;
use super::cluster_service::renew_lease;

/// The interval between attempts to reach the scheduler.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The runtime of all renewals of this process, in a thread of its own: the application's runtime does not run while a
/// consumer of rows blocks its only thread. `None` if the thread cannot be started.
static RUNTIME: OnceLock<Option<Handle>> = OnceLock::new();

/// Renews the lease of a job until it is dropped. The first renewal is after a third of the lease, so a short query has
/// none.
#[derive(Debug)]
pub(super) struct LeaseRenewal(Option<JoinHandle<()>>);

impl LeaseRenewal {
    /// Starts to renew the lease of a job, which was submitted just now.
    pub fn start(client: Weak<ClusterClient>, job: String) -> Self {
        let runtime = RUNTIME.get_or_init(|| start_runtime().inspect_err(warn_not_renewed).ok());
        Self(runtime.as_ref().map(|runtime| runtime.spawn(renew(client, job))))
    }
}

impl Drop for LeaseRenewal {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

fn warn_not_renewed(error: &std::io::Error) {
    log::warn!("leases of queries on clusters are not renewed, because a thread cannot be started: {error}");
}

fn start_runtime() -> std::io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("warpframe-lease".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}

/// Renews the lease until the client has been dropped.
async fn renew(client: Weak<ClusterClient>, job: String) {
    let Some(lease) = client.upgrade().map(|client| client.lease()) else { return };
    let mut channel = None;
    tokio::time::sleep(lease / 3).await;
    while let Some(client) = client.upgrade() {
        let renewed = async {
            let channel = match &channel {
                Some(channel) => channel,
                None => channel.insert(client.connect_channel().await.map_err(|error| error.to_string())?),
            };
            renew_lease(channel.clone(), job.clone()).await.map_err(|status| status.message().to_owned())
        };
        let renewed = renewed.await;
        drop(client);
        match renewed {
            // A job that is still planned has no lease yet, and one whose lease has expired ends with an error.
            Ok(_) => tokio::time::sleep(lease / 3).await,
            Err(error) => {
                log::warn!("the lease of job {job} is not renewed: {error}");
                channel = None;
                tokio::time::sleep(RETRY_INTERVAL.min(lease / 10)).await;
            }
        }
    }
}
