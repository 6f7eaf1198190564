//! Object stores by the scheme of their URLs. Credentials, region and endpoint come from the environment of
//! each process (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL` and so on) and are never sent with a query.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;

use datafusion::common::{Result, exec_err};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use object_store::ObjectStore;
#[cfg(feature = "aws")]
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use parking_lot::Mutex;
use url::Url;

use super::spill_files::SpillFiles;
use super::visible_objects::VisibleObjects;

/// A builder of runtime environments with an [`ObjectStores`] registry and [`SpillFiles`]. Lists of files are not cached:
/// DataFusion never updates them, and reads a file that has grown only up to its old size.
pub fn runtime_env_builder() -> RuntimeEnvBuilder {
    RuntimeEnvBuilder::new()
        .with_disk_manager_builder(SpillFiles::temporary().disk_manager())
        .with_object_store_registry(Arc::new(ObjectStores::default()))
        .with_object_list_cache_limit(0)
}

/// Whether the name of an input or output is a URL, not a local path.
pub(super) fn is_object_store_url(name: &str) -> bool {
    name.contains("://")
}

/// A short message for an error of an object store.
pub(super) fn error_message(error: &object_store::Error) -> String {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    if s3_error_code(error).as_deref() == Some("NoSuchBucket") {
        return "there is no such bucket".to_owned();
    }
    match error {
        NotFound { .. } => "there is no such object".to_owned(),
        PermissionDenied { .. } | Unauthenticated { .. } => {
            "access is denied: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned()
        }
        other => other.to_string(),
    }
}

/// The `<Code>` of the error document with which an S3 store answered the request.
///
/// `object_store` maps a missing object (`NoSuchKey`) and a missing bucket (`NoSuchBucket`) to the same variant,
/// and keeps the body of the response in a type that is private to it. The last error in the source chain prints
/// the HTTP status followed by the body; outer errors also print the path and the URL, which can hold any text.
fn s3_error_code(error: &object_store::Error) -> Option<String> {
    let response = std::iter::successors(error.source(), |cause| (*cause).source()).last()?;
    parse_s3_error_code(&response.to_string()).map(str::to_owned)
}

/// The `<Code>` of an S3 error document, which may follow other text.
///
/// XML escapes `<` in text, so the tag cannot occur inside another element's text.
fn parse_s3_error_code(response: &str) -> Option<&str> {
    let (_, document) = response.split_once("<Error>")?;
    let (fields, _) = document.split_once("</Error>")?;
    let (_, code) = fields.split_once("<Code>")?;
    Some(code.split_once("</Code>")?.0.trim())
}

/// A registry of the local file system and of S3 buckets, which are opened when a query first names them. Lists of files
/// are without hidden ones.
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
        let store: Arc<dyn ObjectStore> = match (url.scheme(), url.host_str()) {
            ("file", _) => return Ok(Arc::clone(&self.local)),
            #[cfg(feature = "aws")]
            ("s3", Some(bucket)) => match AmazonS3Builder::from_env().with_bucket_name(bucket).build() {
                Ok(store) => Arc::new(VisibleObjects(Arc::new(store))),
                Err(error) => return exec_err!("cannot reach the bucket of '{url}': {error}"),
            },
            _ => return exec_err!("'{url}' has an unsupported scheme: use a path, or s3://BUCKET/PATH"),
        };
        self.by_url.lock().insert(store_key(url), Arc::clone(&store));
        Ok(store)
    }
}

#[cfg(test)]
mod tests {
    use object_store::Error;

    use super::*;

    /// What `object_store`'s private error for a response prints.
    fn response(code: &str, message: &str) -> String {
        format!(
            "Server returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Error>\n  <Code>{code}</Code>\n  <Message>{message}</Message>\n</Error>"
        )
    }

    #[test]
    fn the_code_of_an_s3_error_document_is_found() {
        assert_eq!(parse_s3_error_code(&response("NoSuchBucket", "none")), Some("NoSuchBucket"));
        let quoted = response("NoSuchKey", "&lt;Code&gt;NoSuchBucket&lt;/Code&gt;");
        assert_eq!(parse_s3_error_code(&quoted), Some("NoSuchKey"));
        for other in
            ["", "connection refused", "<html>NoSuchBucket</html>", "<Error><Code>NoSuchBucket", "<Error>"]
        {
            assert_eq!(parse_s3_error_code(other), None, "{other}");
        }
    }

    #[test]
    fn a_missing_bucket_is_told_from_a_missing_object() {
        let not_found =
            |path: &str, body: String| Error::NotFound { path: path.to_owned(), source: body.into() };
        let bucket = not_found("out", response("NoSuchBucket", "The specified bucket does not exist"));
        assert_eq!(error_message(&bucket), "there is no such bucket");
        let object = not_found("NoSuchBucket", response("NoSuchKey", "The specified key does not exist"));
        assert_eq!(error_message(&object), "there is no such object");
    }
}
