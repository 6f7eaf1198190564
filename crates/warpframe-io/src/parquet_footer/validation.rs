//! Checks of footers that decode without an error.

use std::panic::catch_unwind;
use std::sync::Arc;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaData;

/// Checks a footer of a file of this length, and derives the Arrow schema from it.
pub fn with_arrow_schema(metadata: Arc<ParquetMetaData>, length: u64) -> ParquetResult<ArrowReaderMetadata> {
    check_footer(&metadata, length)?;
    // The decoder of the embedded Arrow schema panics on some invalid input.
    catch_unwind(|| ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new()))
        .map_err(|_| ParquetError::General("its footer is damaged".to_owned()))?
}

/// Checks the values of a footer that the Parquet reader uses without checking them.
fn check_footer(metadata: &ParquetMetaData, length: u64) -> ParquetResult<()> {
    for row_group in metadata.row_groups() {
        if row_group.num_rows() < 0 {
            return Err(damaged("a row group has a negative number of rows"));
        }
        for chunk in row_group.columns() {
            let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
            let end = start.checked_add(chunk.compressed_size());
            let inside = start >= 0
                && chunk.compressed_size() >= 0
                && chunk.num_values() >= 0
                && end.is_some_and(|end| end as u64 <= length);
            if !inside {
                return Err(damaged("a column lies outside of the file"));
            }
        }
    }
    Ok(())
}

fn damaged(reason: &str) -> ParquetError {
    ParquetError::General(format!("its footer is damaged: {reason}"))
}
