//! The mode `rayon`: kernels on arrays in memory, without the engine. And the memory limit, which is measured in the same way.

use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use datafusion::common::{Result, internal_err};
use rayon::prelude::*;

use super::columns::{arguments, xyz};
use super::formula::Formula;
use super::measure::timed;
use super::verify::Answer;
use super::workload::ResultSink;
use warpframe_cpu::Simd;
use warpframe_cpu::kernel::ROWS_PER_TASK;
use warpframe_datafusion::errors::datafusion_error;
use warpframe_ir::backend::{Backend, Evaluated, KernelContext};

/// Times `repeat` runs of reading three columns and writing one (`x*y*z`) on the threads of the current pool, after a
/// warm-up run. The results are in new buffers, one for each task, as those of the mode `rayon` and of the engine.
pub fn time_memory_stream(rows: &RecordBatch, repeat: usize) -> Result<Vec<Duration>> {
    let [x, y, z] = xyz(rows);
    let once = || {
        let tasks = (x.par_chunks(ROWS_PER_TASK), y.par_chunks(ROWS_PER_TASK), z.par_chunks(ROWS_PER_TASK));
        let (time, results) = timed(|| Ok(tasks.into_par_iter().map(products).collect::<Vec<_>>()))?;
        // The compiler must not remove the results.
        std::hint::black_box(results);
        Ok(time)
    };
    once()?;
    (0..repeat).map(|_| once()).collect()
}

fn products((x, y, z): (&[f64], &[f64], &[f64])) -> Vec<f64> {
    x.iter().zip(y).zip(z).map(|((x, y), z)| x * y * z).collect()
}

/// Evaluates the formula over all rows on the threads of the current pool, in tasks of `ROWS_PER_TASK` rows.
pub fn run_kernel(rows: &RecordBatch, formula: &Formula, result: ResultSink) -> Result<(Duration, Answer)> {
    let kernel =
        Simd::native().and_then(|simd| simd.compile(&formula.compiled.program)).map_err(datafusion_error)?;
    let context = KernelContext::default();
    let arguments = arguments(rows, formula);
    let rows = rows.num_rows();
    let starts = (0..rows.div_ceil(ROWS_PER_TASK)).into_par_iter().map(|task| task * ROWS_PER_TASK);
    let shares = starts.map(|start| {
        let count = ROWS_PER_TASK.min(rows - start);
        let slices: Vec<_> = arguments.iter().map(|column| column.slice(start, count)).collect();
        let evaluated = kernel.evaluate(&slices, count, &context);
        let share = evaluated.and_then(Evaluated::into_column).map_err(datafusion_error)?;
        Ok(share.as_primitive::<Float64Type>().clone())
    });
    match result {
        ResultSink::Collect => {
            let (time, shares) = timed(|| shares.collect::<Result<Vec<_>>>())?;
            Ok((time, Answer::Rows(shares)))
        }
        ResultSink::Sum => {
            let sums = shares.map(|share| Ok(sum(share?.values())));
            let (time, sum) = timed(|| sums.try_reduce(|| 0.0, |one, other| Ok(one + other)))?;
            Ok((time, Answer::Sum(sum)))
        }
        ResultSink::Parquet => internal_err!("the mode rayon has no Parquet writer"),
    }
}

/// Sums with 32 independent accumulators: the latency of a single chain of additions would exceed the time of the kernel.
fn sum(numbers: &[f64]) -> f64 {
    const ACCUMULATORS: usize = 32;
    let (whole, rest) = numbers.as_chunks::<ACCUMULATORS>();
    let mut sums = [0.0; ACCUMULATORS];
    for chunk in whole {
        for (sum, number) in sums.iter_mut().zip(chunk) {
            *sum += number;
        }
    }
    sums.iter().chain(rest).sum()
}
