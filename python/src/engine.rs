//! Evaluates programs on columns, in chunks of rows on all threads.

use std::mem::MaybeUninit;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use pyo3::prelude::*;
use warpframe::ir::reduction::Moments;
use warpframe::ir::{
    Accumulator, Kernel, KernelContext, Reductions, Result, Scalar, ScalarType, concat_nulls,
};

use crate::columns::{CHUNK_ROWS, Column};
use crate::errors::evaluation_error;
use crate::threads::{self, Threads};

/// The rows between two looks at the signals of the process, such as Ctrl-C: a fraction of a second.
const ROWS_BETWEEN_SIGNALS: usize = 1 << 26;

/// The rows that a reduction computes on one thread. Fixed, so that sums have the same bits for every number of threads.
const SEGMENT_ROWS: usize = 1 << 17;

/// The rows of a chunk if all arguments are arrays, of which chunks are slices: a call of the kernel takes no time then.
const SLICE_ROWS: usize = SEGMENT_ROWS;

/// Results of at least so many bytes are written past the caches: with the arguments, they are larger than most caches, and would not
/// be found there later.
const LEAST_NON_TEMPORAL_BYTES: usize = 16 << 20;

/// A kernel with its arguments.
pub struct Evaluation<'a> {
    /// The kernel.
    pub kernel: &'a dyn Kernel,
    /// An argument for each input.
    pub columns: &'a [Column],
    /// The number of rows.
    pub rows: usize,
}

impl Evaluation<'_> {
    /// Evaluates all rows, and writes the values, of `width` bytes each, one after the other. Returns the nulls.
    ///
    /// # Errors
    /// A row traps, memory is exhausted, or a device fails; or a signal has raised an exception, such as `KeyboardInterrupt`.
    pub fn write(
        &self,
        py: Python<'_>,
        width: usize,
        target: &mut [MaybeUninit<u8>],
    ) -> PyResult<Option<NullBuffer>> {
        if self.rows <= CHUNK_ROWS {
            let nulls = self.write_chunk(0, self.rows, target, &KernelContext::default());
            return nulls.map_err(evaluation_error);
        }
        let non_temporal = target.len() >= LEAST_NON_TEMPORAL_BYTES;
        let context = KernelContext { non_temporal, ..KernelContext::default() };
        let mut nulls = Vec::new();
        for (position, target) in target.chunks_mut(ROWS_BETWEEN_SIGNALS * width).enumerate() {
            py.check_signals()?;
            let first = position * ROWS_BETWEEN_SIGNALS;
            let rows = target.len() / width;
            let others = threads::others(py, rows)?;
            let written =
                py.detach(|| self.write_rows((first, rows), width, target, others.as_deref(), &context));
            nulls.extend(written.map_err(evaluation_error)?);
        }
        Ok(concat_nulls(&nulls))
    }

    /// Evaluates rows on this thread and others. Returns the nulls of each chunk with its number of rows.
    fn write_rows(
        &self,
        (first, rows): (usize, usize),
        width: usize,
        target: &mut [MaybeUninit<u8>],
        others: Option<&Threads>,
        context: &KernelContext,
    ) -> Result<Vec<(Option<NullBuffer>, usize)>> {
        let chunk_rows = match self.kernel.device_batch_rows() {
            Some(least) if rows >= least => rows,
            _ => {
                // Several for each thread, since threads do not begin at the same time.
                let share = rows.div_ceil(8 * threads::get_num_threads());
                share.next_multiple_of(CHUNK_ROWS).min(self.largest_chunk())
            }
        };
        let write = |(chunk, target): (usize, &mut [MaybeUninit<u8>])| {
            let rows = target.len() / width;
            Ok((self.write_chunk(first + chunk * chunk_rows, rows, target, context)?, rows))
        };
        threads::map(others, target.chunks_mut(chunk_rows * width).enumerate(), write)
    }

    fn write_chunk(
        &self,
        first: usize,
        rows: usize,
        target: &mut [MaybeUninit<u8>],
        context: &KernelContext,
    ) -> Result<Option<NullBuffer>> {
        self.kernel.evaluate_into(&self.inputs(first, rows), rows, context, target)
    }

    /// The largest number of rows to evaluate at a time. Arguments that are not arrays are copied, into the caches.
    fn largest_chunk(&self) -> usize {
        match self.columns.iter().all(|column| matches!(column, Column::Array(_))) {
            true => SLICE_ROWS,
            false => CHUNK_ROWS,
        }
    }

    fn inputs(&self, first: usize, rows: usize) -> Vec<ArrayRef> {
        self.columns.iter().map(|column| column.rows(first..first + rows)).collect()
    }

    /// Reduces the values of the program's only output, of this type.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
    pub fn reduce(
        &self,
        py: Python<'_>,
        scalar_type: ScalarType,
        reductions: Reductions,
    ) -> PyResult<Vec<Accumulator>> {
        let context = KernelContext::default();
        let segment = |position: usize| -> Result<Accumulator> {
            let first = position * SEGMENT_ROWS;
            let end = self.rows.min(first + SEGMENT_ROWS);
            let mut accumulator = [Accumulator::new(scalar_type, reductions)];
            for start in (first..end).step_by(self.largest_chunk()) {
                let rows = self.largest_chunk().min(end - start);
                let inputs = self.inputs(start, rows);
                self.kernel.reduce(&inputs, rows, &context, &mut accumulator)?;
            }
            let [accumulator] = accumulator;
            Ok(accumulator)
        };
        let segments = self.rows.div_ceil(SEGMENT_ROWS);
        if segments <= 1 {
            return (0..segments).map(segment).collect::<Result<_>>().map_err(evaluation_error);
        }
        let mut accumulators = Vec::with_capacity(segments);
        let at_once = ROWS_BETWEEN_SIGNALS / SEGMENT_ROWS;
        for first in (0..segments).step_by(at_once) {
            py.check_signals()?;
            let positions = first..segments.min(first + at_once);
            let others = threads::others(py, self.rows)?;
            let reduced = py.detach(|| threads::map(others.as_deref(), positions, segment));
            accumulators.extend(reduced.map_err(evaluation_error)?);
        }
        Ok(accumulators)
    }
}

/// The reductions of all segments together.
pub struct Reduced {
    /// The number of values that are not null.
    pub count: u64,
    /// The sum, pairwise for floats.
    pub sum: Option<Scalar>,
    /// The smallest value in total order.
    pub min: Option<Scalar>,
    /// The largest.
    pub max: Option<Scalar>,
    /// The moments.
    pub moments: Moments,
}

impl Reduced {
    /// Combines the accumulators of segments.
    pub fn of(accumulators: &[Accumulator]) -> Self {
        let sums = accumulators.iter().filter_map(Accumulator::sum).collect();
        let sum = warpframe::ir::reduction::combine_pairwise(sums, |a, b| match (a, b) {
            (Scalar::F64(a), Scalar::F64(b)) => Scalar::F64(a + b),
            (Scalar::I64(a), Scalar::I64(b)) => Scalar::I64(a.wrapping_add(b)),
            (a, _) => a,
        });
        let extreme = |scalars: Vec<Scalar>, order: std::cmp::Ordering| {
            scalars.into_iter().reduce(|a, b| if b.total_cmp(a) == Some(order) { b } else { a })
        };
        let mins = accumulators.iter().filter_map(Accumulator::min).collect();
        let maxs = accumulators.iter().filter_map(Accumulator::max).collect();
        Self {
            count: accumulators.iter().map(Accumulator::count).sum(),
            sum,
            min: extreme(mins, std::cmp::Ordering::Less),
            max: extreme(maxs, std::cmp::Ordering::Greater),
            moments: accumulators.iter().map(Accumulator::moments).fold(Moments::default(), Moments::combine),
        }
    }
}

/// The kernels of this process, of the backend of this name.
///
/// # Errors
/// There is no such backend on this machine, or it cannot compile the program.
pub fn kernel(backend: &str, program: &Arc<warpframe::ir::Program>) -> PyResult<Arc<dyn Kernel>> {
    use datafusion::config::ConfigOptions;
    use pyo3::exceptions::PyValueError;
    use warpframe::backends::Backends;
    use warpframe::options::WarpframeOptions;

    let mut config = ConfigOptions::new();
    config.execution.target_partitions = threads::get_num_threads();
    config.extensions.insert(WarpframeOptions { backend: backend.to_owned(), ..WarpframeOptions::default() });
    Backends::shared()
        .kernel(&config, program)
        .map_err(|error| PyValueError::new_err(error.message().into_owned()))
}
