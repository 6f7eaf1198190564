//! Where the outputs of a program go: into an array, or into a reduction.

use warpframe_ir::ScalarType;
use warpframe_ir::reduction::{Accumulator, CHUNK, LANES, Values};

use super::block::Location;
use super::compaction::Reduce;
use super::dispatch::{DetectedPath, run_on};
use super::output_buffer::OutputBuffer;

/// The destination of an output.
#[derive(Debug)]
pub(super) enum Sink<'a> {
    /// An array of all selected rows.
    Array(OutputBuffer<'a>),
    /// A reduction of their values. The buffer has memory for a block.
    Reduction(OutputBuffer<'static>, &'a mut Accumulator),
}

/// The rows of a block, of which some are selected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection<'a> {
    /// The number of rows.
    pub rows: usize,
    /// The mask words of those that are selected, without padding rows.
    pub words: &'a [u64],
    /// Whether all are.
    pub is_full: bool,
}

impl<'a> Sink<'a> {
    /// An array of at most `rows` values of a type.
    pub fn array(scalar_type: ScalarType, rows: usize) -> Self {
        Self::Array(OutputBuffer::new(scalar_type, rows))
    }

    /// A reduction of values of a type, computed in blocks of at most `block_rows` rows.
    pub fn reduction(scalar_type: ScalarType, block_rows: usize, accumulator: &'a mut Accumulator) -> Self {
        Self::Reduction(OutputBuffer::new(scalar_type, block_rows), accumulator)
    }

    /// The array.
    pub fn into_array(self) -> Option<OutputBuffer<'a>> {
        match self {
            Self::Array(buffer) => Some(buffer),
            Self::Reduction(..) => None,
        }
    }

    /// The number of values that the incomplete chunk of a reduction has room for; that of a chunk if there is none.
    pub fn room(&self) -> usize {
        let Self::Reduction(_, accumulator) = self else { return CHUNK };
        match accumulator.values() {
            Values::Count(_) => CHUNK,
            Values::I32(values) => values.room(),
            Values::I64(values) => values.room(),
            Values::F32(values) => values.room(),
            Values::F64(values) => values.room(),
        }
    }

    /// Adds the values of a whole chunk to a reduction that is a sum of wide numbers: the bits of the sums of lanes.
    pub fn add_lane_sums(&mut self, sums: [u64; LANES]) {
        if let Self::Reduction(_, accumulator) = self {
            match accumulator.values_mut() {
                Values::I64(values) => values.add_lane_sums(sums.map(u64::cast_signed)),
                Values::F64(values) => values.add_lane_sums(sums.map(f64::from_bits)),
                // No code computes such sums of other types.
                Values::Count(_) | Values::I32(_) | Values::F32(_) => {}
            }
        }
    }

    /// The memory for the numbers of a block whose first row is `row`.
    pub fn block(&mut self, row: usize) -> *mut () {
        match self {
            Self::Array(buffer) => buffer.block_address(row),
            Self::Reduction(buffer, _) => buffer.address(0),
        }
    }

    /// Whether the numbers that are computed in [`block`](Self::block) are where they belong, if all rows are selected.
    pub fn is_in_place(&self) -> bool {
        matches!(self, Self::Array(buffer) if buffer.is_in_place())
    }

    /// Stores the numbers of the selected rows of a block.
    ///
    /// # Safety
    /// The location must be that of numbers of the output's type, readable for all rows of the mask words, and not be in the
    /// memory of an array.
    pub unsafe fn store_numbers(&mut self, path: DetectedPath, numbers: Location, selection: Selection<'_>) {
        match self {
            Self::Array(buffer) => {
                // SAFETY: the caller guarantees it; the buffer has memory for all rows.
                unsafe { buffer.append_numbers(path, numbers, selection.words) };
            }
            // SAFETY: the caller guarantees it.
            Self::Reduction(_, accumulator) => unsafe {
                reduce_numbers(path, numbers, selection, accumulator)
            },
        }
    }

    /// Stores the Booleans of the selected rows of a block. `bools` returns a mask word.
    pub fn store_bools(&mut self, bools: impl Fn(usize) -> u64, selection: Selection<'_>) {
        match self {
            Self::Array(buffer) => {
                for (word, &selected) in selection.words.iter().enumerate() {
                    buffer.append_bools(bools(word), selected);
                }
            }
            Self::Reduction(_, accumulator) => {
                if let Values::Count(count) = accumulator.values_mut() {
                    *count += selection.count();
                }
            }
        }
    }
}

impl Selection<'_> {
    /// The number of selected rows.
    pub fn count(self) -> u64 {
        match self.is_full {
            true => self.rows as u64,
            false => self.words.iter().map(|word| u64::from(word.count_ones())).sum(),
        }
    }
}

/// Adds the numbers of the selected rows of a block to an accumulator.
///
/// # Safety
/// The location must be that of numbers of the accumulator's type, readable for all rows of the mask words.
unsafe fn reduce_numbers(
    path: DetectedPath,
    numbers: Location,
    selection: Selection<'_>,
    accumulator: &mut Accumulator,
) {
    let Selection { rows, words, is_full } = selection;
    let selected = (!is_full).then_some(words);
    macro_rules! reduce {
        ($values:expr, $register:ty) => {{
            let from = numbers.of::<$register>();
            // SAFETY: the caller guarantees it.
            unsafe { run_on(path, Reduce { from, rows, selected, values: $values }) }
        }};
    }
    match accumulator.values_mut() {
        Values::Count(count) => *count += selection.count(),
        Values::I32(values) => reduce!(values, f32),
        Values::I64(values) => reduce!(values, f64),
        Values::F32(values) => reduce!(values, f32),
        Values::F64(values) => reduce!(values, f64),
    }
}
