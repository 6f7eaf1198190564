//! The reductions of an evaluation: the partial results of the threads of each chunk, combined and added to accumulators.

use std::ops::Range;

use warpframe_ir::program::Program;
use warpframe_ir::reduction::{
    Accumulator, ChunkedValues, Element, Moments, Partial, Values, combine_pairwise,
};

use super::chunk_results::{ChunkResults, StagedResults};
use super::gpu::Gpu;
use super::kernel_source::THREADS;
use super::layout::{Layout, ResultColumn};
use super::partial_column::{COUNT_BYTES, PartialColumn};

/// The number of rows that a thread reduces. Its results have at most a few bytes for each of them, and a chunk has enough
/// threads to occupy a good part of a GPU.
const ROWS_PER_THREAD: usize = 16;

/// The number of blocks of threads that reduce a chunk of rows.
fn reducing_blocks(rows: usize) -> u32 {
    u32::try_from(rows.div_ceil(ROWS_PER_THREAD * THREADS as usize)).unwrap_or(u32::MAX).max(1)
}

/// The accumulators, to which the partial results of completed chunks are added.
pub(super) struct PartialResults<'a> {
    program: &'a Program,
    accumulators: Vec<Accumulator>,
    /// The rows that were selected so far; without a predicate, all rows.
    selected_rows: usize,
}

impl<'a> PartialResults<'a> {
    /// Accumulators for the outputs of a program, one for each, of the type of its values.
    pub fn new(program: &'a Program, accumulators: Vec<Accumulator>) -> Self {
        Self { program, accumulators, selected_rows: 0 }
    }

    /// The accumulators, and the number of rows that were selected.
    pub fn finish(self) -> (Vec<Accumulator>, usize) {
        (self.accumulators, self.selected_rows)
    }
}

/// The columns of partial results for an accumulator.
fn columns(accumulator: &Accumulator) -> Vec<(PartialColumn, usize)> {
    match accumulator.scalar_type() {
        None => vec![(PartialColumn::Count, COUNT_BYTES)],
        Some(values) => {
            let columns = PartialColumn::of(values, accumulator.reductions());
            columns.map(|column| (column, column.width(values))).collect()
        }
    }
}

// SAFETY: there are no addresses: all results are staged.
unsafe impl ChunkResults for PartialResults<'_> {
    fn layout(&self, rows: usize) -> Layout {
        let threads = reducing_blocks(rows) as usize * THREADS as usize;
        let outputs = self.accumulators.iter().flat_map(columns).map(|(_, width)| width);
        let widths = outputs.chain(self.program.predicate().map(|_| COUNT_BYTES));
        let results = widths.map(|width| ResultColumn { bytes: threads * width, staged: true });
        Layout::new(self.program, true, rows, results)
    }

    fn blocks(&self, _: &Gpu, rows: usize) -> u32 {
        reducing_blocks(rows)
    }

    fn addresses(&self, _: usize) -> Vec<*mut u8> {
        Vec::new()
    }

    unsafe fn add_chunk(&mut self, rows: Range<usize>, layout: &Layout, staged: StagedResults) {
        let mut results = layout.results().map(|place| staged.bytes(place));
        for accumulator in &mut self.accumulators {
            let columns = columns(accumulator).into_iter().map(|(column, _)| column).zip(&mut results);
            match accumulator.values_mut() {
                Values::Count(count) => {
                    columns.for_each(|(_, bytes)| *count += sum_of_counts(bytes));
                }
                Values::I32(values) => add(values, columns),
                Values::I64(values) => add(values, columns),
                Values::F32(values) => add(values, columns),
                Values::F64(values) => add(values, columns),
            }
        }
        self.selected_rows += match self.program.predicate() {
            Some(_) => results.next().map_or(0, |bytes| sum_of_counts(bytes) as usize),
            None => rows.len(),
        };
    }
}

/// Combines the partial results of the threads of a chunk, in their order, and adds the result.
fn add<'b, T: Element<Key: Number, Sum: Number>>(
    values: &mut ChunkedValues<T>,
    columns: impl Iterator<Item = (PartialColumn, &'b [u8])>,
) {
    let none = T::default();
    let mut partial = Partial {
        count: 0,
        sum: T::Sum::default(),
        min: none.key(),
        max: none.key(),
        moments: Moments::default(),
    };
    let [mut counts, mut pivots, mut differences]: [&[u8]; 3] = [&[]; 3];
    for (column, bytes) in columns {
        match column {
            PartialColumn::Count => (counts, partial.count) = (bytes, sum_of_counts(bytes)),
            PartialColumn::Sum => partial.sum = sum(numbers(bytes), T::add),
            PartialColumn::Min => partial.min = numbers(bytes).min().unwrap_or(partial.min),
            PartialColumn::Max => partial.max = numbers(bytes).max().unwrap_or(partial.max),
            PartialColumn::Pivot => pivots = bytes,
            PartialColumn::Differences => differences = bytes,
            PartialColumn::Squares => {
                let of_threads = moments_of_threads(counts, pivots, differences, bytes);
                partial.moments = moments(partial.count, &of_threads);
            }
        }
    }
    values.add_partial(&partial);
}

/// The moments of each thread's values, of columns with their number, the first value, the sum of the differences from it, and
/// that of their squares.
///
/// Chan, Golub, LeVeque: "Algorithms for Computing the Sample Variance: Analysis and Recommendations", 1983. The squared
/// differences of `n` values from one of them are at most `n + 1` times those from the mean, so that the subtraction loses few
/// digits of the few values of a thread, and kernels need no division. Where the squares of finite numbers overflow, the result
/// is infinite; with an infinite number it is NaN.
fn moments_of_threads(counts: &[u8], pivots: &[u8], differences: &[u8], squares: &[u8]) -> Vec<Moments> {
    let sums = numbers::<f64>(pivots).zip(numbers::<f64>(differences)).zip(numbers::<f64>(squares));
    let threads = numbers::<u32>(counts).zip(sums).map(|(count, ((pivot, differences), squares))| {
        // That of no values is 0, as are the sums.
        let mean_difference = differences / f64::from(count.max(1));
        let overflows = squares == f64::INFINITY && differences.is_finite();
        let m2 = if overflows { squares } else { squares - mean_difference * differences };
        Moments { count: count.into(), mean: pivot + mean_difference, m2 }
    });
    threads.collect()
}

/// The moments of `count` values, of those of the threads.
///
/// The squared differences from the mean of all values are those from the mean of a thread, and those of that mean from the mean
/// of all. Two passes need fewer divisions than pairs.
fn moments(count: u64, threads: &[Moments]) -> Moments {
    let add = |x: f64, y: f64| x + y;
    let mean = sum(threads.iter().map(|thread| thread.count as f64 * thread.mean), add) / count as f64;
    let squares = threads.iter().map(|thread| {
        // That of a thread without values is 0, unless the mean is not finite.
        let difference = if thread.count > 0 { thread.mean - mean } else { 0.0 };
        thread.m2 + thread.count as f64 * difference * difference
    });
    Moments { count, mean, m2: sum(squares, add) }
}

/// The sum of numbers, by a binary tree.
fn sum<S: Copy + Default>(numbers: impl Iterator<Item = S>, add: impl Fn(S, S) -> S) -> S {
    combine_pairwise(numbers.collect(), add).unwrap_or_default()
}

/// The sum of a column of counts.
fn sum_of_counts(bytes: &[u8]) -> u64 {
    numbers::<u32>(bytes).map(u64::from).sum()
}

/// The numbers of a column.
fn numbers<N: Number>(bytes: &[u8]) -> impl Iterator<Item = N> {
    bytes.chunks_exact(size_of::<N>()).map(N::read)
}

/// A number of a column of partial results.
trait Number: Copy {
    /// The number with these bytes; 0 if there are too few.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($($number:ty),*) => {
        $(impl Number for $number {
            fn read(bytes: &[u8]) -> Self {
                bytes.first_chunk().map_or_else(Self::default, |bytes| Self::from_ne_bytes(*bytes))
            }
        })*
    };
}
number!(u32, i32, i64, f64);
