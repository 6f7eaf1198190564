//! Object stores by the scheme of their URLs. Credentials, region and endpoint come from the environment of
//! each process (`AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME` and so on) and are never sent with a query.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::{Result, exec_err};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use parking_lot::Mutex;
use url::Url;

use super::spill_files::SpillFiles;
use super::store_errors::error_message;
use super::visible_objects::VisibleObjects;

/// A builder of runtime environments with an [`ObjectStores`] registry and [`SpillFiles`]. Lists of files are not cached:
/// DataFusion never updates them, and reads a file that has grown only up to its old size.
pub fn runtime_env_builder() -> RuntimeEnvBuilder {
    RuntimeEnvBuilder::new()
        .with_disk_manager_builder(SpillFiles::temporary().disk_manager())
        .with_object_store_registry(Arc::new(ObjectStores::default()))
        .with_object_list_cache_limit(0)
}

/// A registry of the local file system, of buckets of S3 and Google Cloud Storage, containers of Azure, and servers of the web,
/// which are opened when a query first names them. Lists of files are without hidden ones.
#[derive(Debug)]
pub struct ObjectStores {
    local: Arc<dyn ObjectStore>,
    /// By scheme and authority.
    by_url: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl Default for ObjectStores {
    fn default() -> Self {
        let local = Arc::new(VisibleObjects(Arc::new(LocalFileSystem::new())));
        Self { local, by_url: Mutex::default() }
    }
}

/// The scheme and authority of a URL.
fn store_key(url: &Url) -> String {
    url[..url::Position::BeforePath].to_owned()
}

impl ObjectStoreRegistry for ObjectStores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.by_url.lock().insert(store_key(url), Arc::new(VisibleObjects(store)))
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if let Some(known) = self.by_url.lock().get(&store_key(url)) {
            return Ok(Arc::clone(known));
        }
        if url.scheme() == "file" {
            return Ok(Arc::clone(&self.local));
        }
        let store: Arc<dyn ObjectStore> = Arc::new(VisibleObjects(open_store(url)?));
        self.by_url.lock().insert(store_key(url), Arc::clone(&store));
        Ok(store)
    }
}

/// The schemes of URLs, as an error message shows them.
const SCHEMES: &str = "s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH or https://HOST/PATH";

/// Opens the store of a URL with the settings in the environment of this process.
fn open_store(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    let root = &url[..url::Position::BeforePath];
    let opened: object_store::Result<Arc<dyn ObjectStore>> = match url.scheme() {
        _ if url.host_str().is_none_or(str::is_empty) => {
            return exec_err!("'{url}' names no bucket or host: use {SCHEMES}");
        }
        "s3" | "s3a" => {
            let store = AmazonS3Builder::from_env().with_url(root).with_retry(retries()).build();
            store.map(|store| Arc::new(store) as _)
        }
        "gs" => {
            let store = GoogleCloudStorageBuilder::from_env().with_url(root).with_retry(retries()).build();
            store.map(|store| Arc::new(store) as _)
        }
        "az" | "azure" | "abfs" | "abfss" | "adl" => {
            let store = MicrosoftAzureBuilder::from_env().with_url(root).with_retry(retries()).build();
            store.map(|store| Arc::new(store) as _)
        }
        "http" | "https" => {
            let options = ClientOptions::new().with_allow_http(true);
            let store = HttpBuilder::new().with_url(root).with_client_options(options);
            store.with_retry(retries()).build().map(|store| Arc::new(store) as _)
        }
        _ => return exec_err!("'{url}' has an unsupported scheme: use a path, or {SCHEMES}"),
    };
    match opened {
        Ok(store) => Ok(store),
        Err(error) => exec_err!("cannot open the store of '{url}': {}", error_message(&error, root)),
    }
}

/// How often requests are repeated: for 10 seconds or so if a host does not answer.
fn retries() -> RetryConfig {
    RetryConfig { max_retries: 6, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() }
}
