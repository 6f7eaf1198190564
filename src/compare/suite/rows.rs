//! The rows of the suite.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::unary;
use arrow::datatypes::Float64Type;
use datafusion::common::Result;

use crate::compare::columns;
use crate::compare::formula::schema;
use warpframe_datafusion::rows::{Distribution, RowGenerator};

/// From the values of the generator, in (0, 1e6], to those of the suite.
const SCALE: f64 = 1e-4;

/// The columns x, y, z and w: independent uniform numbers in (0, 100]. Formulas read x, y and z, conditions read w.
///
/// # Errors
/// The batch cannot be made.
pub fn generate(seed: u64, rows: u64, pool: &rayon::ThreadPool) -> Result<RecordBatch> {
    let of_seed = |seed: u64| {
        columns::generate(&RowGenerator { distribution: Distribution::Uniform, seed }, rows, pool)
    };
    let (formula, condition) = (of_seed(seed)?, of_seed(!seed)?);
    let arrays = formula.columns().iter().chain([condition.column(0)]);
    let scaled = arrays.map(|array| -> ArrayRef {
        Arc::new(unary::<_, _, Float64Type>(array.as_primitive::<Float64Type>(), |value| value * SCALE))
    });
    Ok(RecordBatch::try_new(Arc::new(schema(&["x", "y", "z", "w"])), scaled.collect())?)
}

/// The numbers of the rows that the condition `w <= percent` keeps, in ascending order.
pub fn kept(rows: &RecordBatch, percent: u8) -> Vec<usize> {
    let w = rows.column(3).as_primitive::<Float64Type>().values();
    let keep = w.iter().enumerate().filter(|(_, w)| **w <= f64::from(percent));
    keep.map(|(row, _)| row).collect()
}
