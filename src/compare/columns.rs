//! The rows of a comparison as contiguous arrays.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::compute::concat;
use arrow::datatypes::Float64Type;
use datafusion::common::Result;
use rayon::prelude::*;

use super::formula::Formula;
use warpframe_cpu::kernel::ROWS_PER_TASK;
use warpframe_datafusion::rows::RowGenerator;

/// The columns `x`, `y` and `z`, each contiguous, and a buffer for results. All pages are touched before the clock
/// starts.
pub struct Columns {
    pub inputs: [Float64Array; 3],
    pub(super) output: Vec<f64>,
}

impl Columns {
    /// Generates the rows on the threads of `pool`.
    pub fn generate(generator: &RowGenerator, rows: u64, pool: &rayon::ThreadPool) -> Result<Self> {
        let batches: Vec<_> = pool.install(|| {
            let starts = (0..rows.div_ceil(ROWS_PER_TASK as u64)).into_par_iter();
            starts
                .map(|task| {
                    let start = task * ROWS_PER_TASK as u64;
                    generator.batch(start..(start + ROWS_PER_TASK as u64).min(rows), &[1, 2, 3])
                })
                .collect::<Result<_, _>>()
        })?;
        let column = |index: usize| -> Result<Float64Array> {
            let pieces: Vec<_> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
            let column: ArrayRef = concat(&pieces)?;
            Ok(column.as_primitive::<Float64Type>().clone())
        };
        let inputs = [column(0)?, column(1)?, column(2)?];
        // Not zeros: the operating system would map those to untouched pages.
        let output = vec![1.0; inputs[0].len()];
        Ok(Self { inputs, output })
    }

    /// The columns of the formula, in the order of its program's inputs.
    pub fn arguments(&self, formula: &Formula) -> Vec<ArrayRef> {
        let [x, y, z] = &self.inputs;
        let columns = formula.compiled.columns.iter().map(|name| match name.as_str() {
            "x" => x,
            "y" => y,
            _ => z,
        });
        columns.map(|column| Arc::new(column.clone()) as ArrayRef).collect()
    }
}
