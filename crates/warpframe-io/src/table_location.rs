//! The files behind the name of a table: a local path, folder or glob pattern, or a URL in an object store.

use std::path::{Path, PathBuf};

use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::Error::NotFound;
use object_store::ObjectMeta;
use url::Url;

use super::file_error::file_error;
use super::hive_partitions::{PartitionColumns, PartitionText, parse_folders};
use super::local_files::{LocalFiles, WILDCARDS, file_url, has_extension};
use super::object_stores::{error_message, is_object_store_url};

const FOLDER_HINT: &str = "there is no such object; the URL of a folder ends in '/'";

/// The extensions of supported files, in the order in which a folder is searched for them.
const EXTENSIONS: [&str; 5] = ["parquet", "csv", "arrow", "ipc", "feather"];

/// The files of a table, sorted by name.
#[derive(Debug, Clone)]
pub(super) struct TableFiles {
    /// What the user has named.
    pub pattern: String,
    pub store: ObjectStoreUrl,
    pub files: Vec<TableFile>,
    /// What to list for a table without partition columns: the files, or the URL of a folder or pattern.
    pub urls: Vec<ListingTableUrl>,
    /// Whether a folder was named, and not files.
    is_folder: bool,
}

/// A file of a table.
#[derive(Debug, Clone)]
pub(super) struct TableFile {
    /// The path or URL, for messages.
    pub name: PathBuf,
    pub object: ObjectMeta,
    /// The partition columns in the names of its folders.
    pub partition: PartitionText,
}

impl TableFiles {
    /// Finds files, local ones or those of an object store of the context's runtime, of all extensions. A folder has those
    /// in it and in its partition folders. The URL of a folder ends in '/', and the last part of a URL may be a glob
    /// pattern. Hidden files are left out, unless they are named.
    ///
    /// # Errors
    /// No file matches, or a folder or the object store cannot be read.
    pub async fn find(context: &SessionContext, pattern: &str) -> Result<Self> {
        match is_object_store_url(pattern) {
            true => Self::find_remote(context, pattern).await,
            false => Self::find_local(pattern),
        }
    }

    /// Finds local files as [`find`](Self::find) does.
    ///
    /// # Errors
    /// The same as for [`find`](Self::find).
    pub fn find_local(pattern: &str) -> Result<Self> {
        let found = LocalFiles::find(pattern)?;
        let (mut files, mut urls) = (Vec::new(), Vec::new());
        for path in found.files {
            let url = file_url(&path)?;
            let metadata = path.metadata().map_err(|error| file_error("open", &path, error))?;
            let modified = metadata.modified().map_err(|error| file_error("open", &path, error))?;
            let folders = path.strip_prefix(&found.base).ok().and_then(Path::parent);
            let folders: Vec<_> = folders.into_iter().flat_map(Path::components).collect();
            let object = ObjectMeta {
                location: url.prefix().clone(),
                last_modified: modified.into(),
                size: metadata.len(),
                e_tag: None,
                version: None,
            };
            let partition = parse_folders(folders.iter().filter_map(|folder| folder.as_os_str().to_str()));
            files.push(TableFile { name: path, object, partition });
            urls.push(url);
        }
        let store = ObjectStoreUrl::local_filesystem();
        Ok(Self { pattern: pattern.to_owned(), store, files, urls, is_folder: found.is_folder })
    }

    async fn find_remote(context: &SessionContext, pattern: &str) -> Result<Self> {
        let unreadable =
            |cause: &str| DataFusionError::Execution(format!("cannot read '{pattern}': {cause}"));
        let url = parse_url(pattern)?;
        let is_folder = url.is_collection() && url.get_glob().is_none();
        let store = context.runtime_env().object_store(&url)?;
        let state = context.state();
        let found = match url.list_all_files(&state, &*store, "").await {
            Ok(found) => found.try_collect::<Vec<_>>().await,
            Err(error) => Err(error),
        };
        let mut found = found.map_err(|error| match error.find_root() {
            DataFusionError::ObjectStore(cause) if matches!(**cause, NotFound { .. }) => {
                unreadable(FOLDER_HINT)
            }
            DataFusionError::ObjectStore(cause) => unreadable(&error_message(cause)),
            other => unreadable(&other.message()),
        })?;
        // The marker object of a folder is no file.
        found.retain(|object| !is_folder || object.location != *url.prefix());
        if found.is_empty() {
            return Err(unreadable(if url.is_collection() { "there is no object" } else { FOLDER_HINT }));
        }
        found.sort_by(|one, other| one.location.cmp(&other.location));
        let files = found.into_iter().map(|object| {
            let mut folders: Vec<_> = url.strip_prefix(&object.location).into_iter().flatten().collect();
            folders.pop();
            let partition = parse_folders(folders.into_iter());
            let name = PathBuf::from(format!("{}{}", url.object_store(), object.location));
            TableFile { name, object, partition }
        });
        let (files, store) = (files.collect(), url.object_store());
        Ok(Self { pattern: pattern.to_owned(), store, files, urls: vec![url], is_folder })
    }

    /// Of a folder, keeps the files with an extension. Named files may have any.
    ///
    /// # Errors
    /// The folder has none.
    pub fn with_extension(mut self, extension: &str) -> Result<Self> {
        if !self.is_folder {
            return Ok(self);
        }
        self.keep(extension);
        match self.files.is_empty() {
            true => exec_err!("there is no *.{extension} file in the folder '{}'", self.pattern),
            false => Ok(self),
        }
    }

    /// The supported extension of the files: of a folder, the first that files in it have; they are kept. A named object of
    /// an object store without such an extension is taken for Parquet.
    ///
    /// # Errors
    /// The extension is not supported, or not the same for all named files.
    pub fn with_supported_extension(mut self) -> Result<(Self, &'static str)> {
        let known = EXTENSIONS.join(", .");
        let has = |file: &TableFile, extension: &str| has_extension(&file.name, extension);
        if self.is_folder {
            let found =
                EXTENSIONS.into_iter().find(|extension| self.files.iter().any(|file| has(file, extension)));
            let Some(extension) = found else {
                let pattern = &self.pattern;
                return exec_err!("there is no file with the extension .{known} in the folder '{pattern}'");
            };
            self.keep(extension);
            return Ok((self, extension));
        }
        let of_file = |file: &TableFile| EXTENSIONS.into_iter().find(|extension| has(file, extension));
        let Some(extension) = self.files.first().and_then(of_file) else {
            // Names of objects often have no extension.
            if !self.is_local() {
                return Ok((self, EXTENSIONS[0]));
            }
            return exec_err!("'{}' has none of the extensions .{known}", self.pattern);
        };
        match self.files.iter().find(|file| of_file(file) != Some(extension)) {
            None => Ok((self, extension)),
            Some(other) => exec_err!(
                "'{}' matches files of several kinds, among them '{}'",
                self.pattern,
                other.name.display()
            ),
        }
    }

    /// Whether the files are local ones. Then each has a URL of its own.
    fn is_local(&self) -> bool {
        self.store == ObjectStoreUrl::local_filesystem()
    }

    fn keep(&mut self, extension: &str) {
        if !self.is_local() {
            // DataFusion lists the URL of a folder again, and compares extensions exactly.
            let suffix = format!(".{extension}");
            self.files.retain(|file| file.object.location.as_ref().ends_with(&suffix));
            return;
        }
        let files = std::mem::take(&mut self.files).into_iter().zip(std::mem::take(&mut self.urls));
        (self.files, self.urls) = files.filter(|(file, _)| has_extension(&file.name, extension)).unzip();
    }

    /// The partition columns of the files.
    ///
    /// # Errors
    /// They are not the same for all files.
    pub fn partitions(&self) -> Result<PartitionColumns> {
        let files: Vec<_> = self.files.iter().map(|file| (file.name.as_path(), &file.partition)).collect();
        PartitionColumns::infer(&files)
    }

    /// The suffix by which DataFusion selects the files again when it lists the URLs.
    pub fn listed_extension(&self, extension: &str) -> String {
        match self.is_folder && !self.is_local() {
            true => format!(".{extension}"),
            false => String::new(),
        }
    }
}

/// Parses a URL whose last part may be a glob pattern.
fn parse_url(name: &str) -> Result<ListingTableUrl> {
    let Some(folder) = name.find(WILDCARDS).and_then(|glob| name[..glob].rfind('/')) else {
        return ListingTableUrl::parse(name);
    };
    let (folder, pattern) = name.split_at(folder + 1);
    let invalid =
        |what: &dyn std::fmt::Display| DataFusionError::Execution(format!("'{name}' is not valid: {what}"));
    let url = Url::parse(folder).map_err(|error| invalid(&error))?;
    ListingTableUrl::try_new(url, Some(glob::Pattern::new(pattern).map_err(|error| invalid(&error))?))
}
