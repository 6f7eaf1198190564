//! The rows of a comparison in memory: one batch of contiguous columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Float64Type;
use datafusion::common::Result;
use rayon::prelude::*;

use super::formula::Formula;
use warpframe_cpu::kernel::ROWS_PER_TASK;
use warpframe_datafusion::rows::RowGenerator;

/// Generates the columns `x`, `y` and `z` of some rows on the threads of `pool`. All pages are touched before the clock
/// starts.
pub fn generate(generator: &RowGenerator, rows: u64, pool: &rayon::ThreadPool) -> Result<RecordBatch> {
    let batches: Vec<_> = pool.install(|| {
        let starts = (0..rows.div_ceil(ROWS_PER_TASK as u64)).into_par_iter();
        starts
            .map(|task| {
                let start = task * ROWS_PER_TASK as u64;
                generator.batch(start..(start + ROWS_PER_TASK as u64).min(rows), &[1, 2, 3])
            })
            .collect::<Result<_, _>>()
    })?;
    let schema = Arc::new(RowGenerator::schema().project(&[1, 2, 3])?);
    Ok(concat_batches(&schema, &batches)?)
}

/// The columns of the formula, in the order of its program's inputs.
pub fn arguments(rows: &RecordBatch, formula: &Formula) -> Vec<ArrayRef> {
    let names = formula.compiled.columns.iter();
    names.filter_map(|name| rows.column_by_name(name).cloned()).collect()
}

/// The values of the first three columns, which are Float64: `x`, `y` and `z`.
pub fn xyz(rows: &RecordBatch) -> [&[f64]; 3] {
    [0, 1, 2].map(|column| rows.column(column).as_primitive::<Float64Type>().values().as_ref())
}
