//! Reads the footers of files, also those with fields of a wrong type.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};

use super::conformance::without_foreign_fields;
use super::repair::{leaves_out_dictionary_headers, repaired};
use super::validation::with_arrow_schema;

/// The length of the end of a file: the length of the footer, and `PAR1`.
const TAIL: u64 = 8;

/// The number of bytes that are read first from the end of a file. Most footers are shorter, and need no second request.
const FIRST_READ: u64 = 64 << 10;

/// Reads and checks the footer of a file, and puts it into the cache, from which DataFusion takes it: its own reader
/// panics if the length of the footer is damaged, and does not read all footers that this module reads.
///
/// # Errors
/// The file cannot be read, or its footer is not valid.
pub async fn read_footer(
    store: &dyn ObjectStore,
    file: &ObjectMeta,
    cache: &Arc<FileMetadataCache>,
) -> Result<ArrowReaderMetadata> {
    let (bytes, position) = fetch_footer(store, file).await?;
    let footer = match ParquetMetaDataReader::decode_metadata(&bytes) {
        Ok(footer) if !is_misread(&footer) => Arc::new(footer),
        Ok(_) => decode_nonconforming(&bytes, position)?,
        Err(failure) => decode_nonconforming(&bytes, position).map_err(|_| failure)?,
    };
    let end = if leaves_out_dictionary_headers(&footer) { position } else { file.size };
    let checked = with_arrow_schema(repaired(Arc::clone(&footer), end)?, file.size)?;
    let footer = Arc::new(CachedParquetMetaData::new(footer));
    cache.put(&file.location, CachedFileMetadataEntry::new(file.clone(), footer));
    Ok(checked)
}

/// The footer of a file, and its position.
async fn fetch_footer(store: &dyn ObjectStore, file: &ObjectMeta) -> Result<(Bytes, u64)> {
    let tail = tail_range(file.size)?;
    let start = file.size.saturating_sub(FIRST_READ);
    let end = store.get_range(&file.location, start..file.size).await?;
    let tail = end.get((tail.start - start) as usize..).ok_or_else(damaged)?;
    if FooterTail::try_from(tail)?.is_encrypted_footer() {
        return Err(
            ParquetError::General("its footer is encrypted, which is not supported".to_owned()).into()
        );
    }
    let footer = footer_range(file.size, tail)?;
    let bytes = match footer.start.checked_sub(start) {
        Some(first) => end.slice(first as usize..(footer.end - start) as usize),
        None => store.get_range(&file.location, footer.clone()).await?,
    };
    Ok((bytes, footer.start))
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
