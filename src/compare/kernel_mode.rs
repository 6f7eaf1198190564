//! The mode `rayon`: kernels on arrays in memory, without the engine.

use std::time::Duration;

use arrow::array::{Array, AsArray, Float64Array};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::Float64Type;
use datafusion::common::{DataFusionError, Result, internal_err};
use rayon::prelude::*;

use super::columns::Columns;
use super::formula::Formula;
use super::measure::timed;
use super::verify::Answer;
use super::workload::ResultSink;
use warpframe_cpu::Simd;
use warpframe_cpu::kernel::{self, ROWS_PER_TASK};
use warpframe_datafusion::errors::datafusion_error;
use warpframe_ir::backend::{Backend, Evaluated, KernelContext};

impl Columns {
    /// Times `repeat` runs of reading three columns and writing one (`x*y*z`) on the threads of the current pool, after a
    /// warm-up run.
    pub fn time_memory_stream(&mut self, repeat: usize) -> Result<Vec<Duration>> {
        let Self { inputs, output } = self;
        let [x, y, z] = inputs.each_ref().map(|column| column.values().as_ref());
        let mut once = || Ok(timed(|| kernel::par_product(x, y, z, output).map_err(kernel_error))?.0);
        once()?;
        (0..repeat).map(|_| once()).collect()
    }

    /// Evaluates the formula over all rows on the threads of the current pool.
    pub fn run_kernel(&mut self, formula: &Formula, result: ResultSink) -> Result<(Duration, Answer)> {
        if !formula.is_log3() {
            return self.run_program(formula, result);
        }
        let Self { inputs, output } = self;
        let [x, y, z] = inputs.each_ref().map(|column| column.values().as_ref());
        match result {
            ResultSink::Collect => {
                let (time, ()) = timed(|| kernel::par_log3(x, y, z, output).map_err(kernel_error))?;
                // The verification gets a copy, which is made off the clock, because the buffer is reused.
                let copy = Float64Array::new(ScalarBuffer::from(output.clone()), None);
                Ok((time, Answer::Rows(vec![copy])))
            }
            ResultSink::Sum => {
                let (time, sum) = timed(|| sum_of_log3(x, y, z))?;
                Ok((time, Answer::Sum(sum)))
            }
            ResultSink::Parquet => internal_err!("the mode rayon has no Parquet writer"),
        }
    }

    /// Evaluates the program of any formula, in tasks of `ROWS_PER_TASK` rows.
    fn run_program(&self, formula: &Formula, result: ResultSink) -> Result<(Duration, Answer)> {
        let kernel = Simd::active()
            .and_then(|simd| simd.compile(&formula.compiled.program))
            .map_err(datafusion_error)?;
        let context = KernelContext::default();
        let arguments = self.arguments(formula);
        let rows = self.inputs[0].len();
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
}

/// The sum of `log3` over all rows. Each task keeps its results in a buffer that fits into the cache.
fn sum_of_log3(x: &[f64], y: &[f64], z: &[f64]) -> Result<f64> {
    (x.par_chunks(ROWS_PER_TASK), y.par_chunks(ROWS_PER_TASK), z.par_chunks(ROWS_PER_TASK))
        .into_par_iter()
        .map_init(
            || vec![0.0; ROWS_PER_TASK],
            |results, (x, y, z)| {
                let results = &mut results[..x.len()];
                kernel::log3(x, y, z, results).map_err(kernel_error)?;
                Ok(sum(results))
            },
        )
        .try_reduce(|| 0.0, |one, other| Ok(one + other))
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

fn kernel_error(error: kernel::KernelError) -> DataFusionError {
    DataFusionError::External(error.into())
}
