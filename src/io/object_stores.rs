//! Where files of queries lie besides this machine: object stores, by the scheme of their URLs. Credentials and
//! regions come from the environment of each process (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`
//! and so on); they never travel with a query.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{Result, exec_err};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use parking_lot::Mutex;
use url::Url;

/// A runtime that knows the stores.
pub(crate) fn runtime_env_builder() -> RuntimeEnvBuilder {
    RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(ObjectStores::default()))
}

/// Whether an output or an input lies in an object store.
pub(crate) fn is_object_store_url(name: &str) -> bool {
    name.contains("://")
}

/// What an object store refuses, in a few words.
pub(crate) fn error_message(error: &object_store::Error) -> String {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    let text = error.to_string();
    match error {
        _ if text.contains("NoSuchBucket") => "there is no such bucket".to_owned(),
        NotFound { .. } => "there is nothing".to_owned(),
        PermissionDenied { .. } | Unauthenticated { .. } => {
            "access is denied: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned()
        }
        _ => text,
    }
}

/// The local file system, and the buckets that queries name.
#[derive(Debug, Default)]
pub(crate) struct ObjectStores {
    local: Arc<LocalFileSystem>,
    /// By scheme and host.
    by_url: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

/// The part of a URL that names the store.
fn store_key(url: &Url) -> String {
    url[..url::Position::BeforePath].to_owned()
}

impl ObjectStoreRegistry for ObjectStores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.by_url.lock().insert(store_key(url), store)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if let Some(known) = self.by_url.lock().get(&store_key(url)) {
            return Ok(Arc::clone(known));
        }
        let store: Arc<dyn ObjectStore> = match (url.scheme(), url.host_str()) {
            ("file", _) => return Ok(Arc::clone(&self.local) as _),
            ("s3", Some(bucket)) => match AmazonS3Builder::from_env().with_bucket_name(bucket).build() {
                Ok(store) => Arc::new(store),
                Err(error) => return exec_err!("cannot reach the bucket of '{url}': {error}"),
            },
            _ => return exec_err!("'{url}' is not where files can be: use a path, or s3://BUCKET/PATH"),
        };
        self.by_url.lock().insert(store_key(url), Arc::clone(&store));
        Ok(store)
    }
}
