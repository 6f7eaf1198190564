//! The files behind the name of a table: a local path, folder or glob pattern, or a URL in an object store.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use object_store::Error::NotFound;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use super::file_error::file_error;
use super::hive_partitions::{PartitionColumns, PartitionText, parse_folders};
use super::local_files::{LocalFiles, WILDCARDS, file_url};
use super::store_errors::{NO_OBJECT, error_message};
use super::url_schemes::{is_object_store_url, is_web};

const FOLDER_HINT: &str = "there is no such object; the URL of a folder ends in '/'";

/// The files of a table, those behind each name sorted by path.
#[derive(Debug, Clone)]
pub(super) struct TableFiles {
    /// What the user has named.
    pub pattern: String,
    pub store: ObjectStoreUrl,
    pub files: Vec<TableFile>,
    /// What to list for a table without partition columns: the files, or the URL of a folder or pattern.
    pub urls: Vec<ListingTableUrl>,
    /// Whether a folder was named, and not files.
    pub is_folder: bool,
    /// Of a URL that is listed again, the end of the names of files that belong to the table.
    pub listed_suffix: String,
    /// Whether the order is that of several names, and not of all paths, by which DataFusion sorts the files that it lists.
    pub keeps_order: bool,
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
    /// in it and in the folders below it. The URL of a folder ends in '/', and a URL may end in a glob pattern. Hidden files
    /// are left out, unless they are named.
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
        let (pattern, is_folder) = (pattern.to_owned(), found.is_folder);
        Ok(Self { pattern, store, files, urls, is_folder, listed_suffix: String::new(), keeps_order: false })
    }

    async fn find_remote(context: &SessionContext, pattern: &str) -> Result<Self> {
        let unreadable =
            |cause: &str| DataFusionError::Execution(format!("cannot read '{pattern}': {cause}"));
        check_url(pattern)?;
        let (url, glob) = parse_url(pattern)?;
        let is_folder = url.is_collection() && glob.is_none();
        let store = context.runtime_env().object_store(&url)?;
        let found = match url.is_collection() {
            // Only objects below the folder are wanted, and none that begins with its name.
            true => store.list(Some(url.prefix())).try_collect::<Vec<_>>().await,
            false => store.head(url.prefix()).await.map(|object| vec![object]),
        };
        let mut found = found.map_err(|error| match error {
            NotFound { .. } if !is_web(pattern) && error_message(&error, pattern) == NO_OBJECT => {
                unreadable(FOLDER_HINT)
            }
            error => unreadable(&error_message(&error, pattern)),
        })?;
        if let Some(glob) = &glob {
            found.retain(|object| {
                let below: Vec<_> = url.strip_prefix(&object.location).into_iter().flatten().collect();
                glob.matches_with(&below.join("/"), GLOB_OPTIONS)
            });
        }
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
        let (files, store): (Vec<_>, _) = (files.collect(), url.object_store());
        let urls = match is_folder {
            true => vec![url],
            false => files.iter().map(|file| object_url(&store, &file.object)).collect::<Result<_>>()?,
        };
        let pattern = pattern.to_owned();
        Ok(Self { pattern, store, files, urls, is_folder, listed_suffix: String::new(), keeps_order: false })
    }

    /// Whether the files are local ones. Then each has a URL of its own.
    fn is_local(&self) -> bool {
        self.store == ObjectStoreUrl::local_filesystem()
    }

    /// Of a folder, keeps the files for which this is true, and returns the others.
    ///
    /// # Errors
    /// The location of an object cannot be a URL.
    pub fn keep(&mut self, is_kept: impl Fn(&TableFile) -> bool) -> Result<Vec<TableFile>> {
        if self.is_local() {
            let files = std::mem::take(&mut self.files).into_iter().zip(std::mem::take(&mut self.urls));
            let (kept, others): (Vec<_>, Vec<_>) = files.partition(|(file, _)| is_kept(file));
            (self.files, self.urls) = kept.into_iter().unzip();
            return Ok(others.into_iter().map(|(file, _)| file).collect());
        }
        let (kept, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.files).into_iter().partition(is_kept);
        self.files = kept;
        if !others.is_empty() {
            self.exclude(&others)?;
        }
        Ok(others)
    }

    /// Makes the URL of a folder stand for the files that are left without these: by the end of their names, if that tells
    /// them from the others, or else by a URL for each.
    fn exclude(&mut self, others: &[TableFile]) -> Result<()> {
        let name = |file: &TableFile| file.object.location.filename().unwrap_or_default().to_owned();
        let suffix = |file: &TableFile| name(file).find('.').map(|dot| name(file)[dot..].to_owned());
        let ends = |file: &TableFile, suffix: &str| name(file).ends_with(suffix);
        match self.files.first().and_then(suffix) {
            Some(suffix)
                if self.files.iter().all(|file| ends(file, &suffix))
                    && !others.iter().any(|file| ends(file, &suffix)) =>
            {
                self.listed_suffix = suffix;
            }
            _ => {
                let urls = self.files.iter().map(|file| object_url(&self.store, &file.object));
                self.urls = urls.collect::<Result<_>>()?;
            }
        }
        Ok(())
    }

    /// Adds the files of another name.
    ///
    /// # Errors
    /// They are in another store, or among these files.
    pub fn append(&mut self, other: Self) -> Result<()> {
        if self.store != other.store {
            return exec_err!(
                "'{}' and '{}' are not in one store: make a table of each, and UNION ALL of both",
                self.pattern,
                other.pattern
            );
        }
        let known: HashSet<_> = self.files.iter().map(|file| file.object.location.clone()).collect();
        if let Some(file) = other.files.iter().find(|file| known.contains(&file.object.location)) {
            return exec_err!("the file '{}' is named twice", file.name.display());
        }
        let fixed = |files: Self| -> Result<Vec<ListingTableUrl>> {
            match files.urls.len() == files.files.len() {
                true => Ok(files.urls),
                false => files.files.iter().map(|file| object_url(&files.store, &file.object)).collect(),
            }
        };
        self.urls = fixed(Self { files: self.files.clone(), ..self.clone() })?;
        self.listed_suffix = String::new();
        self.keeps_order = true;
        self.pattern = format!("{}, {}", self.pattern, other.pattern);
        self.files.extend(other.files.clone());
        self.urls.extend(fixed(other)?);
        Ok(())
    }

    /// The partition columns of the files.
    ///
    /// # Errors
    /// They are not the same for all files.
    pub fn partitions(&self) -> Result<PartitionColumns> {
        let files: Vec<_> = self.files.iter().map(|file| (file.name.as_path(), &file.partition)).collect();
        PartitionColumns::infer(&files)
    }
}

/// The way in which patterns match the paths of objects: `*` stands for a part of one name, and `**` for folders.
const GLOB_OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Parses a URL that may end in a glob pattern: the URL of the file, or that of a folder and the pattern below it.
fn parse_url(name: &str) -> Result<(ListingTableUrl, Option<Pattern>)> {
    let wildcard = if is_web(name) { None } else { name.find(WILDCARDS) };
    let Some(folder) = wildcard.and_then(|glob| name[..glob].rfind('/')) else {
        return Ok((ListingTableUrl::parse(name)?, None));
    };
    let (folder, pattern) = name.split_at(folder + 1);
    let invalid =
        |what: &dyn std::fmt::Display| DataFusionError::Execution(format!("'{name}' is not valid: {what}"));
    let url = Url::parse(folder).map_err(|error| invalid(&error))?;
    let pattern = Pattern::new(pattern).map_err(|error| invalid(&error))?;
    Ok((ListingTableUrl::try_new(url, None)?, Some(pattern)))
}

/// Checks that a URL of the web names a file.
fn check_url(name: &str) -> Result<()> {
    match is_web(name) && (name.ends_with('/') || name.contains(['?', '#'])) {
        true => exec_err!(
            "cannot read '{name}': a URL of http or https names one file, without a query; there are no folders"
        ),
        false => Ok(()),
    }
}

/// The URL of one object.
pub(super) fn object_url(store: &ObjectStoreUrl, object: &ObjectMeta) -> Result<ListingTableUrl> {
    let mut url: Url = store.as_str().parse().map_err(|error: url::ParseError| {
        DataFusionError::Execution(format!("'{store}' is not a valid URL: {error}"))
    })?;
    let Ok(mut parts) = url.path_segments_mut() else { return exec_err!("'{store}' is not a valid URL") };
    parts.clear().extend(object.location.parts().map(|part| part.as_ref().to_owned()));
    drop(parts);
    ListingTableUrl::try_new(url, None)
}
