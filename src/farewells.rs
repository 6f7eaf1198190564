//! What is told to a scheduler or an object store after a query or a session has been dropped, which cannot
//! wait for it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

/// How long the end of a process waits for them.
const PATIENCE: Duration = Duration::from_secs(2);

static UNDER_WAY: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Says it on the current runtime; without one, nobody hears it.
pub(crate) fn say(farewell: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let mut under_way = UNDER_WAY.lock();
        under_way.retain(|farewell| !farewell.is_finished());
        under_way.push(runtime.spawn(farewell));
    }
}

/// Waits until schedulers and object stores have been told of the queries that this process has cancelled or
/// finished, for two seconds at most. A program that ends earlier leaves cancelled queries running on clusters, and
/// parts of cancelled outputs in object stores.
pub async fn settle() {
    let under_way = std::mem::take(&mut *UNDER_WAY.lock());
    let _ = tokio::time::timeout(PATIENCE, futures::future::join_all(under_way)).await;
}
