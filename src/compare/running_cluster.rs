//! The local cluster that a comparison is using. Its owner is not the thread that runs the modes, which cannot be cancelled: an
//! interrupted comparison stops the cluster from another thread.

use std::sync::Arc;

use parking_lot::Mutex;
use warpframe_cluster::LocalCluster;

/// The local cluster that the current mode runs on. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct RunningCluster(Arc<Mutex<Option<LocalCluster>>>);

impl RunningCluster {
    /// Keeps a cluster until the returned value is dropped.
    pub(super) fn keep(&self, cluster: Option<LocalCluster>) -> KeptCluster<'_> {
        *self.0.lock() = cluster;
        KeptCluster(self)
    }

    /// Ends the processes of the cluster and removes its files, if there is one.
    pub fn stop(&self) {
        let cluster = self.0.lock().take();
        drop(cluster);
    }
}

/// Stops the cluster on drop.
pub(super) struct KeptCluster<'a>(&'a RunningCluster);

impl Drop for KeptCluster<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
