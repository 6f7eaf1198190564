//! The reductions of an evaluation: the partial results of the threads of each chunk, combined and added to accumulators.

use std::ops::Range;

use warpframe_ir::program::Program;
use warpframe_ir::reduction::{
    Accumulator, ChunkedValues, Element, Moments, Partial, Values, combine_pairwise,
};

use super::chunk_results::ChunkResults;
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

    unsafe fn add_chunk(&mut self, rows: Range<usize>, layout: &Layout, staging: &[u8]) {
        let mut results = layout.results().map(|place| &staging[place.range()]);
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
    let (mut counts, mut means): (&[u8], &[u8]) = (&[], &[]);
    for (column, bytes) in columns {
        match column {
            PartialColumn::Count => (counts, partial.count) = (bytes, sum_of_counts(bytes)),
            PartialColumn::Sum => {
                partial.sum = combine_pairwise(numbers(bytes).collect(), T::add).unwrap_or_default();
            }
            PartialColumn::Min => partial.min = numbers(bytes).min().unwrap_or(partial.min),
            PartialColumn::Max => partial.max = numbers(bytes).max().unwrap_or(partial.max),
            PartialColumn::Mean => means = bytes,
            PartialColumn::M2 => {
                let moments = numbers::<u32>(counts).zip(numbers(means)).zip(numbers(bytes));
                let moments =
                    moments.map(|((count, mean), m2)| Moments { count: count.into(), mean, m2 }).collect();
                partial.moments = combine_pairwise(moments, Moments::combine).unwrap_or_default();
            }
        }
    }
    values.add_partial(&partial);
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
