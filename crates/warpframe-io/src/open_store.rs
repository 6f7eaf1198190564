//! Opens object stores by the URLs of what is in them. Each kind of store is a feature.

use std::sync::Arc;

use datafusion::common::{Result, exec_err};
use object_store::ObjectStore;
use url::Url;

#[cfg(feature = "azure")]
use super::azure_variables::with_azure_variables;
use super::store_errors::settings_message;

/// The schemes of URLs, as an error message shows them.
const SCHEMES: &str = "s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH or https://HOST/PATH";

/// A store, or the error of the builder of one.
type Opened = object_store::Result<Arc<dyn ObjectStore>>;

/// A function that opens a store by the beginning of a URL, if this build has one.
type Open = Option<fn(&str) -> Opened>;

/// Opens the store of a URL with the settings in the environment of this process.
///
/// # Errors
/// The scheme is not known or this build is without its store, the URL has no bucket or host, or a setting is not valid.
pub(super) fn open_store(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    let root = &url[..url::Position::BeforePath];
    let (feature, open): (_, Open) = match url.scheme() {
        "s3" | "s3a" => ("aws", aws()),
        "gs" => ("gcp", gcp()),
        "az" | "azure" | "abfs" | "abfss" | "adl" => ("azure", azure()),
        "http" | "https" => ("http", http()),
        _ => return exec_err!("'{url}' has an unsupported scheme: use a path, or {SCHEMES}"),
    };
    if url.host_str().is_none_or(str::is_empty) {
        return exec_err!("'{url}' names no bucket or host: use {SCHEMES}");
    }
    let Some(open) = open else {
        return exec_err!("this build cannot open '{url}': build it with the feature `{feature}`");
    };
    match open(root) {
        Ok(store) => Ok(store),
        Err(error) => exec_err!("cannot open the store of '{url}': {}", settings_message(&error, root)),
    }
}

/// The functions that open stores by the beginnings of URLs, for the features of this build.
macro_rules! stores {
    ($($name:ident, $feature:literal: $open:expr;)*) => {$(
        #[cfg(feature = $feature)]
        fn $name() -> Open {
            Some($open)
        }

        #[cfg(not(feature = $feature))]
        fn $name() -> Open {
            None
        }
    )*};
}

stores! {
    aws, "aws": |root| {
        use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
        let mut store = AmazonS3Builder::from_env().with_url(root);
        let endpoint = store.get_config_value(&AmazonS3ConfigKey::S3Endpoint);
        let endpoint = endpoint.or_else(|| store.get_config_value(&AmazonS3ConfigKey::Endpoint));
        if allows_http(endpoint.as_deref(), "AWS_ALLOW_HTTP") {
            store = store.with_allow_http(true);
        }
        Ok(Arc::new(store.with_retry(retries()).build()?))
    };
    gcp, "gcp": |root| {
        let store = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_url(root);
        Ok(Arc::new(store.with_retry(retries()).build()?))
    };
    azure, "azure": |root| {
        use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
        let mut store = with_azure_variables(MicrosoftAzureBuilder::from_env()).with_url(root);
        let endpoint = store.get_config_value(&AzureConfigKey::Endpoint);
        if allows_http(endpoint.as_deref(), "AZURE_ALLOW_HTTP") {
            store = store.with_allow_http(true);
        }
        Ok(Arc::new(store.with_retry(retries()).build()?))
    };
    http, "http": |root| {
        let options = object_store::ClientOptions::new().with_allow_http(true);
        let store = object_store::http::HttpBuilder::new().with_url(root).with_client_options(options);
        Ok(Arc::new(store.with_retry(retries()).build()?))
    };
}

/// Whether an endpoint is meant to be used without encryption: the user has given it so, and the variable does not forbid it.
#[cfg(any(feature = "aws", feature = "azure"))]
fn allows_http(endpoint: Option<&str>, variable: &str) -> bool {
    endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) && std::env::var_os(variable).is_none()
}

/// How often requests are repeated: for 10 seconds or so if a host does not answer.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
fn retries() -> object_store::RetryConfig {
    let retry_timeout = std::time::Duration::from_secs(60);
    object_store::RetryConfig { max_retries: 6, retry_timeout, ..Default::default() }
}
