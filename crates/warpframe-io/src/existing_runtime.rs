//! The runtime environment of another application, for the tables and outputs of this crate.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use object_store::ObjectStore;
use url::Url;

use super::object_stores::ObjectStores;
use super::visible_objects::VisibleObjects;

/// A builder of runtime environments that share the memory pool, the disk manager, the caches and the object stores of
/// another. Tables do not see hidden objects, nor those that runs are publishing or removing; lists of files are not cached, as
/// in [`runtime_env_builder`](crate::runtime_env_builder).
pub fn runtime_env_over(runtime: &RuntimeEnv) -> RuntimeEnvBuilder {
    let registry = Arc::clone(&runtime.object_store_registry);
    RuntimeEnvBuilder::from_runtime_env(runtime)
        .with_object_store_registry(Arc::new(StoresOver { registry, others: ObjectStores::default() }))
        .with_object_list_cache_limit(0)
}

/// The stores of a registry, and those that it does not know.
#[derive(Debug)]
struct StoresOver {
    registry: Arc<dyn ObjectStoreRegistry>,
    /// Opens stores by their URLs.
    others: ObjectStores,
}

impl ObjectStoreRegistry for StoresOver {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.registry.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.registry.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        match self.registry.get_store(url) {
            Ok(store) => Ok(Arc::new(VisibleObjects(store))),
            Err(_) => self.others.get_store(url),
        }
    }
}
