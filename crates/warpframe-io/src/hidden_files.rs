//! Files beside the data. Names that begin with `.` or `_` are no data in Spark, Hive, Dask and Arrow: `_SUCCESS`,
//! `_metadata`, `_temporary/`, `.part-0.parquet.crc`, `._part-0.parquet`. A partition folder such as `_day=1` is data.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// Whether a file or folder of this name is no data.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

/// Whether an object below `prefix` is hidden, or in a hidden folder below it.
fn is_hidden_below(prefix: Option<&Path>, object: &Path) -> bool {
    let depth = prefix.map_or(0, Path::parts_count);
    object.parts().skip(depth).any(|part| is_hidden(part.as_ref()))
}

/// An object store whose lists are without hidden objects, so that tables do not read them. An object that is named
/// explicitly can be read, and [`list_with_offset`](ObjectStore::list_with_offset) lists all objects, for writers that
/// must know what is in a place.
#[derive(Debug)]
pub(super) struct VisibleObjects(pub Arc<dyn ObjectStore>);

impl fmt::Display for VisibleObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for VisibleObjects {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let below = prefix.cloned();
        let listed = self.0.list(prefix);
        listed
            .try_filter(move |object| std::future::ready(!is_hidden_below(below.as_ref(), &object.location)))
            .boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut listed = self.0.list_with_delimiter(prefix).await?;
        listed.objects.retain(|object| !is_hidden_below(prefix, &object.location));
        listed.common_prefixes.retain(|folder| !is_hidden_below(prefix, folder));
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, options).await
    }
}
