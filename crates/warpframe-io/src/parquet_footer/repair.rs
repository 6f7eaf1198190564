//! Parquet footers with three faults of old writers, which readers in other languages tolerate:
//!
//! - The file's number of rows is not that of its row groups, often 0. The reader derives its batch size from it, and
//!   returns no rows.
//! - The size of a column is without the header of its dictionary page, in files of parquet-mr before 1.2.9.
//! - The offset of a dictionary page is 0 where there is none. The reader looks for a page at the beginning of the file.

use std::sync::Arc;

use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, RowGroupMetaData,
};

/// A footer without the faults. `end` is the position of the footer in the file, which matters only if
/// [`leaves_out_dictionary_headers`] says so.
pub(super) fn repaired(footer: Arc<ParquetMetaData>, end: u64) -> ParquetResult<Arc<ParquetMetaData>> {
    let file = footer.file_metadata();
    let rows = footer.row_groups().iter().fold(0i64, |rows, group| rows.saturating_add(group.num_rows()));
    let is_short = leaves_out_dictionary_headers(&footer);
    let mut starts: Vec<_> = match is_short {
        true => footer.row_groups().iter().flat_map(|group| group.columns()).map(start).collect(),
        false => Vec::new(),
    };
    starts.sort_unstable();
    let repair = |column: &ColumnChunkMetaData| {
        let missing = if is_short { missing_bytes(column, &starts, end) } else { 0 };
        let has_offset = column.dictionary_page_offset() == Some(0);
        (missing > 0 || has_offset).then_some((missing, has_offset))
    };
    let columns = || footer.row_groups().iter().flat_map(|group| group.columns());
    if file.num_rows() == rows && columns().all(|column| repair(column).is_none()) {
        return Ok(footer);
    }
    let repaired_group = |group: RowGroupMetaData| {
        let mut group = group.into_builder();
        let columns = group.take_columns().into_iter().map(|column| {
            let Some((missing, has_offset)) = repair(&column) else { return Ok(column) };
            let offset = column.dictionary_page_offset().filter(|_| !has_offset);
            let bytes = column.compressed_size() + missing;
            let column = column.into_builder().set_dictionary_page_offset(offset);
            column.set_total_compressed_size(bytes).build()
        });
        let columns = columns.collect::<ParquetResult<_>>()?;
        group.set_column_metadata(columns).build()
    };
    let groups = footer.row_groups().iter().cloned().map(repaired_group).collect::<ParquetResult<_>>()?;
    let file = FileMetaData::new(
        file.version(),
        rows,
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let builder = ParquetMetaDataBuilder::new(file)
        .set_row_groups(groups)
        .set_column_index(footer.column_index().cloned())
        .set_offset_index(footer.offset_index().cloned());
    Ok(Arc::new(builder.build()))
}

/// Whether a writer leaves the header of the dictionary page out of the size of a column: parquet-mr before 1.2.9
/// (PARQUET-816).
pub(super) fn leaves_out_dictionary_headers(footer: &ParquetMetaData) -> bool {
    let created_by = footer.file_metadata().created_by();
    let Some(rest) = created_by.and_then(|writer| writer.strip_prefix("parquet-mr")) else { return false };
    let version = rest.trim_start().strip_prefix("version ").unwrap_or("0");
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0u32));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next()) < (1, 2, 9)
}

/// Where the pages of a column begin in the file.
fn start(column: &ColumnChunkMetaData) -> i64 {
    column.dictionary_page_offset().filter(|offset| *offset > 0).unwrap_or(column.data_page_offset())
}

/// The bytes between the end of a column and the next one, or the footer, if they can be those of a header.
fn missing_bytes(column: &ColumnChunkMetaData, starts: &[i64], footer: u64) -> i64 {
    const LONGEST_HEADER: i64 = 100;
    let end = start(column).saturating_add(column.compressed_size());
    let next = starts.iter().copied().find(|start| *start >= end);
    let missing = next.unwrap_or(i64::try_from(footer).unwrap_or(end)).saturating_sub(end);
    if (0..=LONGEST_HEADER).contains(&missing) { missing } else { 0 }
}
