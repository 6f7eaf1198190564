//! Files beside the data. Names that begin with `.` or `_` are no data in Spark, Hive, Dask and Arrow: `_SUCCESS`,
//! `_metadata`, `_temporary/`, `.part-0.parquet.crc`, `._part-0.parquet`. A partition folder such as `_day=1` is data.

use object_store::path::Path;

/// Whether a file or folder of this name is no data.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

/// Whether an object below `prefix` is hidden, or in a hidden folder below it.
pub(super) fn is_hidden_below(prefix: Option<&Path>, object: &Path) -> bool {
    let depth = prefix.map_or(0, Path::parts_count);
    object.parts().skip(depth).any(|part| is_hidden(part.as_ref()))
}
