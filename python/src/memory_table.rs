//! Batches in memory as a table.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::datasource::MemTable;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::{arrow_error, query_error};

/// A partition with fewer rows takes less time to compute than to schedule.
const MIN_PARTITION_ROWS: usize = 16 * 1024;

/// The most rows of a batch: operators that pass batches on take memory for a batch at a time.
const MAX_BATCH_ROWS: usize = 1 << 20;

/// The key of the metadata that describes the index of a pandas frame. A query's result has other columns.
const PANDAS_METADATA: &str = "pandas";

/// A table of batches, in partitions of about the same number of rows, in their order. Nothing is copied.
///
/// # Errors
/// `ValueError`: there are no columns, two columns have one name, or the columns are not what the schema says.
pub fn memory_table(
    schema: &SchemaRef,
    batches: Vec<RecordBatch>,
    partitions: usize,
) -> PyResult<Arc<MemTable>> {
    if schema.fields().is_empty() {
        return Err(PyValueError::new_err("the table has no columns"));
    }
    let mut names = HashSet::new();
    if let Some(twice) = schema.fields().iter().find(|field| !names.insert(field.name())) {
        let name = twice.name();
        return Err(PyValueError::new_err(format!("two columns have the name '{name}': rename one")));
    }
    let mut metadata = schema.metadata().clone();
    metadata.remove(PANDAS_METADATA);
    let schema = Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata));
    let batches = batches.into_iter().map(|batch| {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options)
    });
    let batches = batches.collect::<Result<Vec<_>, _>>().map_err(arrow_error)?;
    let table = MemTable::try_new(Arc::clone(&schema), partition(batches, partitions));
    table.map(Arc::new).map_err(|error| query_error(&error, ""))
}

/// The batch of columns with these names.
///
/// # Errors
/// `ValueError`: the columns have different lengths.
pub fn batch_of_columns(columns: Vec<(String, ArrayRef)>) -> PyResult<(SchemaRef, RecordBatch)> {
    if let Some((first, others)) = columns.split_first()
        && let Some(other) = others.iter().find(|(_, array)| array.len() != first.1.len())
    {
        return Err(PyValueError::new_err(format!(
            "the columns have different lengths: '{}' has {} rows, '{}' has {}",
            first.0,
            first.1.len(),
            other.0,
            other.1.len()
        )));
    }
    let field = |(name, array): &(String, ArrayRef)| Field::new(name, array.data_type().clone(), true);
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let rows = columns.first().map_or(0, |(_, array)| array.len());
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), arrays, &options);
    Ok((schema, batch.map_err(arrow_error)?))
}

/// Divides batches among at most `partitions` partitions, one after the other.
fn partition(batches: Vec<RecordBatch>, partitions: usize) -> Vec<Vec<RecordBatch>> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let partitions = partitions.min(rows / MIN_PARTITION_ROWS).max(1);
    let partition_rows = rows.div_ceil(partitions);
    let mut divided = vec![Vec::new()];
    let mut free = partition_rows;
    for batch in batches {
        let mut begin = 0;
        while begin < batch.num_rows() {
            if free == 0 {
                divided.push(Vec::new());
                free = partition_rows;
            }
            let length = (batch.num_rows() - begin).min(free).min(MAX_BATCH_ROWS);
            if let Some(last) = divided.last_mut() {
                last.push(batch.slice(begin, length));
            }
            (begin, free) = (begin + length, free - length);
        }
    }
    divided
}
