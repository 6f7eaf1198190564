//! A location in an object store, and the requests that read, write and remove objects there.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};

use super::commit::reading::below;
use super::file_error::file_error;
use super::store_errors::error_message;

/// The number of objects that an error message names; it counts the others.
const MAX_LISTED_OBJECTS: usize = 5;

/// A location in an object store: a single object, or all objects below a path.
#[derive(Debug, Clone)]
pub(super) struct ObjectLocation {
    pub(super) store: Arc<dyn ObjectStore>,
    /// The URL of the store, ending in '/'.
    root: String,
    pub(super) path: ObjectPath,
    /// The URL as the user wrote it, without a trailing '/'.
    pub(super) url: String,
}

impl ObjectLocation {
    /// The location of a URL.
    ///
    /// # Errors
    /// The URL is invalid or names no path in a store, or the runtime has no object store for it.
    pub fn new(url: &str, runtime: &RuntimeEnv) -> Result<Self> {
        let location = ListingTableUrl::parse(url)?;
        if location.prefix().as_ref().is_empty() {
            return exec_err!("'{url}' is a whole bucket: name a place in it");
        }
        let store = runtime.object_store(location.object_store())?;
        let root = location.object_store().as_str().to_owned();
        Ok(Self { store, root, path: location.prefix().clone(), url: url.trim_end_matches('/').to_owned() })
    }

    /// The location `name` below this one.
    pub fn child(&self, name: &str) -> Self {
        let (path, url) = (self.path.clone().join(name), format!("{}/{name}", self.url));
        Self { path, url, ..self.clone() }
    }

    /// The location with a path relative to this one, with `/` between its parts.
    ///
    /// # Errors
    /// The path is not valid.
    pub fn below(&self, name: &str) -> Result<Self> {
        let Some(path) = below(&self.path, name) else {
            return exec_err!("'{name}' is not the path of an object below '{}'", self.url);
        };
        Ok(Self { path, url: format!("{}/{name}", self.url), ..self.clone() })
    }

    /// The location of another object of the store, which has the URL of this one in messages.
    pub fn at(&self, path: ObjectPath) -> Self {
        Self { path, ..self.clone() }
    }

    /// The path of an object relative to this location; `None` if it is not below it.
    pub fn relative(&self, object: &ObjectPath) -> Option<String> {
        let parts: Vec<_> = object.prefix_match(&self.path)?.collect();
        (!parts.is_empty()).then(|| parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/"))
    }

    /// The objects whose paths begin with the parent of this location and `prefix`, if the store lists in the order of
    /// paths as S3 does, and otherwise perhaps not all of them.
    ///
    /// # Errors
    /// The store cannot be listed.
    pub async fn objects_beside(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let first = self.sibling(prefix).path;
        let parent: ObjectPath = first.parts().take(first.parts_count().saturating_sub(1)).collect();
        // A plain list is without hidden objects.
        let listed = self.store.list_with_offset(Some(&parent), &first);
        let begins = |object: &ObjectMeta| object.location.as_ref().starts_with(first.as_ref());
        let listed = listed.try_take_while(|object| std::future::ready(Ok(begins(object))));
        listed.try_collect().await.map_err(|error| self.error("read", &error))
    }

    /// The location `name` with the same parent as this one.
    pub fn sibling(&self, name: &str) -> Self {
        let parent: ObjectPath = self.path.parts().take(self.path.parts_count().saturating_sub(1)).collect();
        let url = self.url.rsplit_once('/').map_or("", |(parent, _)| parent);
        Self { path: parent.join(name), url: format!("{url}/{name}"), ..self.clone() }
    }

    /// The URL, without a trailing '/'.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The object at this location, if there is one, and all objects below it.
    ///
    /// # Errors
    /// The store cannot be listed.
    pub async fn objects(&self) -> Result<Vec<ObjectMeta>> {
        // A plain list is without hidden objects.
        let below = self.store.list_with_offset(Some(&self.path), &ObjectPath::default());
        let mut objects: Vec<_> = below.try_collect().await.map_err(|error| self.error("read", &error))?;
        objects.extend(self.find().await?);
        Ok(objects)
    }

    /// Downloads the object at this location into a file.
    ///
    /// # Errors
    /// The object cannot be read, or the file cannot be written.
    pub async fn download(&self, file: &Path) -> Result<()> {
        let found = self.store.get(&self.path).await.map_err(|error| self.error("read", &error))?;
        let mut parts = found.into_stream();
        let mut target = File::create(file).map_err(|error| file_error("create", file, error))?;
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| self.error("read", &error))?;
            std::io::Write::write_all(&mut target, &part)
                .map_err(|error| file_error("write", file, error))?;
        }
        Ok(())
    }

    /// Creates an empty object at this location.
    ///
    /// # Errors
    /// The object cannot be written.
    pub async fn create_marker(&self) -> Result<()> {
        let created = self.store.put(&self.path, PutPayload::new()).await;
        created.map(|_| ()).map_err(|error| self.error("write", &error))
    }

    /// The object at this location, if there is one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn find(&self) -> Result<Option<ObjectMeta>> {
        match self.store.head(&self.path).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("read", &error)),
        }
    }

    /// Copies the object at another location of the same store to this one; the store itself copies the data.
    ///
    /// # Errors
    /// The object cannot be copied.
    pub async fn copy_from(&self, other: &Self) -> Result<()> {
        let copied = self.store.copy(&other.path, &self.path).await;
        copied.map_err(|error| self.error("write", &error))
    }

    /// Removes objects. Objects that do not exist count as removed.
    ///
    /// # Errors
    /// Some objects cannot be removed; the error names them.
    pub(super) async fn remove(&self, objects: Vec<ObjectPath>) -> Result<()> {
        let mut remaining: BTreeSet<_> = objects.iter().cloned().collect();
        let mut cause = None;
        let mut removed = self.store.delete_stream(stream::iter(objects.into_iter().map(Ok)).boxed());
        while let Some(removed) = removed.next().await {
            match removed {
                Ok(object) => {
                    remaining.remove(&object);
                }
                Err(object_store::Error::NotFound { path, .. }) => {
                    remaining.remove(&ObjectPath::from(path));
                }
                Err(error) => cause = Some(error_message(&error, &self.url)),
            }
        }
        let Some(cause) = cause.filter(|_| !remaining.is_empty()) else { return Ok(()) };
        let names =
            remaining.iter().take(MAX_LISTED_OBJECTS).map(|object| format!("'{}{object}'", self.root));
        let names = names.collect::<Vec<_>>().join(", ");
        match remaining.len().saturating_sub(MAX_LISTED_OBJECTS) {
            0 => exec_err!("cannot remove {names}: {cause}"),
            more => exec_err!("cannot remove {names} and {more} more: {cause}"),
        }
    }

    /// An execution error of the form "cannot {action} '{url}': {cause}".
    pub(super) fn error(&self, action: &str, error: &object_store::Error) -> DataFusionError {
        DataFusionError::Execution(format!(
            "cannot {action} '{}': {}",
            self.url,
            error_message(error, &self.url)
        ))
    }
}
