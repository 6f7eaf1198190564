//! Reads the footers of files, also those with fields of a wrong type.

use std::ops::Range;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::physical_plan::parquet::metadata::{CachedParquetMetaData, DFParquetMetadata};
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::conformance::without_foreign_fields;
use super::repair::{leaves_out_dictionary_headers, repaired};

/// The length of the end of a file: the length of the footer, and `PAR1`.
const TAIL: u64 = 8;

/// Reads the footer of a file. A footer that had to be changed is put into the cache, from which DataFusion takes it.
///
/// # Errors
/// The file cannot be read, or its footer is not valid.
pub async fn read_footer(
    store: &dyn ObjectStore,
    file: &ObjectMeta,
    cache: Option<&Arc<FileMetadataCache>>,
) -> Result<Arc<ParquetMetaData>> {
    let read = DFParquetMetadata::new(store, file).fetch_metadata().await;
    let footer = match read {
        Ok(footer) if !is_misread(&footer) => {
            let end = match leaves_out_dictionary_headers(&footer) {
                true => footer_of(store, file).await?.start,
                false => file.size,
            };
            return Ok(repaired(footer, end)?);
        }
        read => match (read_nonconforming(store, file).await, read) {
            (Ok(footer), _) => footer,
            (Err(_), Err(failure)) => return Err(failure),
            (Err(failure), Ok(_)) => return Err(failure),
        },
    };
    if let Some(cache) = cache {
        let footer = Arc::new(CachedParquetMetaData::new(Arc::clone(&footer)));
        cache.put(&file.location, CachedFileMetadataEntry::new(file.clone(), footer));
    }
    Ok(footer)
}

async fn read_nonconforming(store: &dyn ObjectStore, file: &ObjectMeta) -> Result<Arc<ParquetMetaData>> {
    let range = footer_of(store, file).await?;
    let footer = store.get_range(&file.location, range.clone()).await?;
    Ok(decode_nonconforming(&footer, range.start)?)
}

/// Where the footer of a file is.
async fn footer_of(store: &dyn ObjectStore, file: &ObjectMeta) -> Result<Range<u64>> {
    let tail = store.get_range(&file.location, tail_range(file.size)?).await?;
    Ok(footer_range(file.size, &tail)?)
}

/// Whether a footer seems to have been misread: it has the length of a bloom filter, but none. Dremio has used the number of
/// that field for something else.
pub(super) fn is_misread(footer: &ParquetMetaData) -> bool {
    let mut columns = footer.row_groups().iter().flat_map(|group| group.columns());
    columns.any(|column| column.bloom_filter_length().is_some() && column.bloom_filter_offset().is_none())
}

/// Where the length of the footer is in a file of this size.
pub(super) fn tail_range(size: u64) -> ParquetResult<Range<u64>> {
    Ok(size.checked_sub(TAIL).ok_or_else(damaged)?..size)
}

/// Where the footer is in a file of this size that ends in `tail`.
pub(super) fn footer_range(size: u64, tail: &[u8]) -> ParquetResult<Range<u64>> {
    let length: [u8; 4] = tail.get(..4).and_then(|length| length.try_into().ok()).ok_or_else(damaged)?;
    let end = tail_range(size)?.start;
    Ok(end.checked_sub(u32::from_le_bytes(length).into()).ok_or_else(damaged)?..end)
}

/// Decodes the footer at a position of a file without its fields of a wrong type.
pub(super) fn decode_nonconforming(footer: &[u8], position: u64) -> ParquetResult<Arc<ParquetMetaData>> {
    let footer = without_foreign_fields(footer).ok_or_else(damaged)?;
    repaired(Arc::new(ParquetMetaDataReader::decode_metadata(&footer)?), position)
}

fn damaged() -> ParquetError {
    ParquetError::General("the footer is damaged".to_owned())
}

/// Whether an error may be that of a footer with fields of a wrong type.
pub(super) fn is_footer_error(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ParquetError(_))
}
