//! The arrays of an evaluation: collected from completed chunks, in the order of their rows. Numbers are copied from the GPU
//! to page-locked memory that becomes the buffer of the result array, or, if there is not enough of it, to staging memory and
//! from there to ordinary memory. If the program has a predicate, the selected rows of each chunk are moved together when it has
//! completed.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::bit_iterator::BitIndexIterator;
use arrow_buffer::bit_util::get_bit;
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use arrow_data::ArrayData;
use warpframe_ir::backend::Evaluated;
use warpframe_ir::error::Error;
use warpframe_ir::program::Program;

use super::chunk_pipeline::{Failure, Reserve, grid_blocks};
use super::chunk_results::{ChunkResults, StagedResults};
use super::codegen::{computes_validity, has_validity};
use super::gpu::Gpu;
use super::layout::{Layout, ResultColumn};
use super::number_results::NumberResults;

/// The layout of a chunk of rows whose outputs are stored, for all rows. `is_staged` says of the position of an output whether
/// its numbers are copied to staging memory.
pub(super) fn arrays_layout(program: &Program, rows: usize, is_staged: impl Fn(usize) -> bool) -> Layout {
    let mut columns = Vec::new();
    for (position, output) in program.outputs().iter().enumerate() {
        columns.push(match output.data_type.primitive_width() {
            Some(width) => ResultColumn { bytes: rows * width, staged: is_staged(position) },
            None => ResultColumn::bitmap(rows),
        });
        columns.extend(has_validity(program, output.value).then(|| ResultColumn::bitmap(rows)));
    }
    columns.extend(program.predicate().map(|_| ResultColumn::bitmap(rows)));
    Layout::new(program, computes_validity(program), rows, columns)
}

/// The arrays of completed chunks.
pub(super) struct ArrayResults<'a> {
    program: &'a Program,
    outputs: Vec<OutputColumn>,
    /// The rows that were selected so far; without a predicate, all rows.
    selected_rows: usize,
}

/// The results of an output.
struct OutputColumn {
    values: Values,
    /// The validity, if the kernel stores it.
    validity: Option<BooleanBufferBuilder>,
}

enum Values {
    Numbers(NumberResults),
    Booleans(BooleanBufferBuilder),
}

impl<'a> ArrayResults<'a> {
    /// Results for a number of rows.
    ///
    /// # Errors
    /// Memory is exhausted.
    pub fn new(
        gpu: &Arc<Gpu>,
        program: &'a Program,
        rows: usize,
        limit: usize,
        reserve: &Reserve,
    ) -> Result<Self, Failure> {
        let outputs = program.outputs().iter().map(|output| {
            let values = match output.data_type.primitive_width() {
                Some(width) => Values::Numbers(NumberResults::new(gpu, rows, width, limit, reserve)?),
                None => Values::Booleans(BooleanBufferBuilder::new(rows)),
            };
            let validity = has_validity(program, output.value);
            Ok(OutputColumn { values, validity: validity.then(|| BooleanBufferBuilder::new(rows)) })
        });
        let outputs = outputs.collect::<Result<_, Failure>>()?;
        Ok(Self { program, outputs, selected_rows: 0 })
    }

    /// Builds the result arrays. All chunks have been added.
    ///
    /// # Errors
    /// The arrays are not valid, which the verifier of programs excludes.
    pub fn finish(self, inputs: &[ArrayRef]) -> Result<Evaluated, Error> {
        let (program, rows) = (self.program, self.selected_rows);
        let columns = self.outputs.into_iter().zip(program.outputs()).map(|(column, output)| {
            let nulls = match column.validity {
                _ if !computes_validity(program) => {
                    NullBuffer::union_many(inputs.iter().map(|array| array.nulls()))
                }
                Some(bits) => Some(NullBuffer::new(bits.build())).filter(|nulls| nulls.null_count() > 0),
                None => None,
            };
            let values = match column.values {
                Values::Booleans(bits) => bits.build().into_inner(),
                // SAFETY: the numbers of all rows have been added, by operations that have completed.
                Values::Numbers(numbers) => unsafe { numbers.finish(rows) },
            };
            let data = ArrayData::builder(output.data_type.clone()).len(rows).add_buffer(values).nulls(nulls);
            data.build().map(make_array).map_err(Error::backend)
        });
        Ok(Evaluated { columns: columns.collect::<Result<_, _>>()?, rows })
    }
}

// SAFETY: the page-locked memory has room for all rows of the evaluation, and is owned.
unsafe impl ChunkResults for ArrayResults<'_> {
    fn layout(&self, rows: usize) -> Layout {
        arrays_layout(
            self.program,
            rows,
            |position| matches!(&self.outputs[position].values, Values::Numbers(numbers) if numbers.address(0).is_none()),
        )
    }

    fn blocks(&self, gpu: &Gpu, rows: usize) -> u32 {
        grid_blocks(gpu, rows)
    }

    fn addresses(&self, first_row: usize) -> Vec<*mut u8> {
        let outputs = self.outputs.iter().filter_map(|output| match &output.values {
            Values::Numbers(numbers) => numbers.address(first_row),
            Values::Booleans(_) => None,
        });
        outputs.collect()
    }

    unsafe fn add_chunk(&mut self, rows: Range<usize>, layout: &Layout, staged: StagedResults) {
        let mut places = layout.results();
        // The last one, behind the outputs.
        let selected = self.program.predicate().and_then(|_| layout.results().last());
        let selected = selected.map(|place| staged.bytes(place));
        let to = self.selected_rows;
        self.selected_rows += match selected {
            // Bits behind the last row are 0.
            Some(selected) => selected.iter().map(|byte| byte.count_ones() as usize).sum(),
            None => rows.len(),
        };
        for column in &mut self.outputs {
            let Some(place) = places.next() else { return };
            if let Some(validity) = &mut column.validity
                && let Some(place) = places.next()
            {
                append_bits(validity, staged.bytes(place), rows.len(), selected);
            }
            match &mut column.values {
                Values::Booleans(bits) => append_bits(bits, staged.bytes(place), rows.len(), selected),
                Values::Numbers(numbers) => {
                    let staged: &[u8] = if place.column.staged { staged.bytes(place) } else { &[] };
                    // SAFETY: only operations of later chunks are pending, which write to later rows.
                    unsafe { numbers.add_chunk(rows.clone(), staged, selected, to) };
                }
            }
        }
    }
}

/// Appends the bits of a chunk of rows: all, or those whose bits are set in the bitmap `selected`.
fn append_bits(builder: &mut BooleanBufferBuilder, bits: &[u8], rows: usize, selected: Option<&[u8]>) {
    match selected {
        None => builder.append_packed_range(0..rows, bits),
        Some(selected) => {
            let selected = BitIndexIterator::new(selected, 0, rows);
            selected.for_each(|row| builder.append(get_bit(bits, row)));
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_buffer::BooleanBuffer;

    use super::*;

    #[test]
    fn bitmaps_are_built_from_parts_of_any_length() {
        let bits: Vec<bool> = (0..1000u32).map(|row| row % 3 == 0 || row % 7 == 1).collect();
        let selected: Vec<bool> = (0..1000u32).map(|row| row % 5 != 2).collect();
        for length in [1, 2, 63, 64, 65, 100, 127, 128, 1000] {
            let [mut all, mut some] = [(); 2].map(|()| BooleanBufferBuilder::new(0));
            for (bits, selected) in bits.chunks(length).zip(selected.chunks(length)) {
                let [part, selected] = [bits, selected].map(|bits| BooleanBuffer::from(bits).into_inner());
                append_bits(&mut all, &part, bits.len(), None);
                append_bits(&mut some, &part, bits.len(), Some(&selected));
            }
            assert!(all.build().iter().eq(bits.iter().copied()), "{length}");
            let expected = bits.iter().zip(&selected).filter(|(_, selected)| **selected);
            assert!(some.build().iter().eq(expected.map(|(bit, _)| *bit)), "{length}");
        }
    }
}
