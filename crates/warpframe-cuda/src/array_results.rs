//! The arrays of an evaluation: collected from completed chunks, in the order of their rows. Numbers are copied from the GPU
//! to page-locked memory that becomes the buffer of the result array. If the program has a predicate, the selected rows of
//! each chunk are moved together when it has completed.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use warpframe_ir::backend::Evaluated;
use warpframe_ir::error::Error;
use warpframe_ir::memory::Reservation;
use warpframe_ir::program::Program;

use super::chunk_pipeline::{Failure, Reserve, grid_blocks};
use super::chunk_results::ChunkResults;
use super::codegen::{computes_validity, has_validity};
use super::gpu::Gpu;
use super::layout::{Layout, ResultColumn};
use super::memory::{Pinned, reserved_buffer};

/// The layout of a chunk of rows whose outputs are stored, for all rows.
pub(super) fn arrays_layout(program: &Program, rows: usize) -> Layout {
    let mut columns = Vec::new();
    let bytes_of_rows = ResultColumn { bytes: rows, staged: true };
    for output in program.outputs() {
        columns.push(match output.data_type.primitive_width() {
            Some(width) => ResultColumn { bytes: rows * width, staged: false },
            None => bytes_of_rows,
        });
        columns.extend(has_validity(program, output.value).then_some(bytes_of_rows));
    }
    columns.extend(program.predicate().map(|_| bytes_of_rows));
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
    validity: Option<BitmapBuilder>,
}

enum Values {
    /// Page-locked memory for all rows, the size of a number in bytes, and the reservation of the memory.
    Numbers {
        memory: Pinned,
        width: usize,
        reservation: Box<dyn Reservation>,
    },
    Booleans(BitmapBuilder),
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
                Some(width) => {
                    let reservation = reserve(rows * width)?;
                    Values::Numbers { memory: gpu.pinned(rows * width, limit)?, width, reservation }
                }
                None => Values::Booleans(BitmapBuilder::with_capacity(rows)),
            };
            let validity = has_validity(program, output.value);
            Ok(OutputColumn { values, validity: validity.then(|| BitmapBuilder::with_capacity(rows)) })
        });
        let outputs = outputs.collect::<Result<_, Failure>>()?;
        Ok(Self { program, outputs, selected_rows: 0 })
    }

    /// Builds the result arrays.
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
                Some(bits) => Some(NullBuffer::new(bits.finish())).filter(|nulls| nulls.null_count() > 0),
                None => None,
            };
            let values = match column.values {
                Values::Booleans(bits) => bits.finish().into_inner(),
                Values::Numbers { memory, width, reservation } => numbers(memory, rows * width, reservation),
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
        arrays_layout(self.program, rows)
    }

    fn blocks(&self, gpu: &Gpu, rows: usize) -> u32 {
        grid_blocks(gpu, rows)
    }

    fn addresses(&self, first_row: usize) -> Vec<*mut u8> {
        let outputs = self.outputs.iter().filter_map(|output| match &output.values {
            Values::Numbers { memory, width, .. } => {
                Some(memory.address().as_ptr().wrapping_add(first_row * width))
            }
            Values::Booleans(_) => None,
        });
        outputs.collect()
    }

    unsafe fn add_chunk(&mut self, rows: Range<usize>, layout: &Layout, staging: &[u8]) {
        let mut places = layout.results();
        // The last one, behind the outputs.
        let selected = match self.program.predicate() {
            Some(_) => layout.results().last().map(|place| &staging[place.range()]),
            None => None,
        };
        let to = self.selected_rows;
        self.selected_rows += match selected {
            Some(selected) => selected.iter().filter(|&&selected| selected != 0).count(),
            None => rows.len(),
        };
        for column in &mut self.outputs {
            let values = places.next();
            if let Some(validity) = &mut column.validity
                && let Some(place) = places.next()
            {
                validity.extend(&staging[place.range()], selected);
            }
            match (&mut column.values, selected, values) {
                (Values::Booleans(bits), _, Some(place)) => bits.extend(&staging[place.range()], selected),
                (Values::Numbers { memory, width, .. }, Some(selected), _) => {
                    // SAFETY: only operations of later chunks are pending, which write to later rows.
                    let bytes = unsafe { memory.first_bytes_mut(rows.end * *width) };
                    match width {
                        1 => move_selected::<1>(bytes, rows.start, selected, to),
                        2 => move_selected::<2>(bytes, rows.start, selected, to),
                        4 => move_selected::<4>(bytes, rows.start, selected, to),
                        _ => move_selected::<8>(bytes, rows.start, selected, to),
                    }
                }
                _ => {}
            }
        }
    }
}

/// The buffer of the first `bytes` bytes of page-locked memory. It is the memory itself, without a copy, unless that is more
/// than twice as large: then the bytes are copied, so that few selected rows do not hold the memory of all rows.
fn numbers(memory: Pinned, bytes: usize, mut reservation: Box<dyn Reservation>) -> Buffer {
    let all = memory.requested_bytes();
    if bytes >= all / 2 {
        return memory.into_buffer(bytes, Some(reservation));
    }
    let copy = Buffer::from_slice_ref(memory.into_buffer(bytes, None).as_slice());
    reservation.shrink(all - bytes);
    reserved_buffer(copy, reservation)
}

/// Moves the selected numbers of a chunk, which starts at the row `from`, together, to the rows from `to` on. `to` is not
/// greater than `from`.
fn move_selected<const WIDTH: usize>(bytes: &mut [u8], from: usize, selected: &[u8], mut to: usize) {
    let (numbers, _) = bytes.as_chunks_mut::<WIDTH>();
    for (row, &selected) in (from..).zip(selected) {
        // Without a branch: a number that is not selected is overwritten by the next.
        numbers[to] = numbers[row];
        to += usize::from(selected != 0);
    }
}

/// Builds a bitmap from bytes that are 0 or 1.
struct BitmapBuilder {
    words: Vec<u64>,
    bits: usize,
}

impl BitmapBuilder {
    fn with_capacity(bits: usize) -> Self {
        Self { words: Vec::with_capacity(bits.div_ceil(64)), bits: 0 }
    }

    /// Appends a bit for each byte, or for each one that is selected.
    fn extend(&mut self, bytes: &[u8], selected: Option<&[u8]>) {
        match selected {
            None => self.extend_all(bytes),
            Some(selected) => {
                let selected = bytes.iter().zip(selected).filter(|(_, selected)| **selected != 0);
                self.extend_all(&selected.map(|(byte, _)| *byte).collect::<Vec<_>>());
            }
        }
    }

    fn extend_all(&mut self, bytes: &[u8]) {
        let word = |bytes: &[u8]| {
            let bits = bytes.iter().enumerate();
            bits.fold(0u64, |word, (position, &byte)| word | u64::from(byte != 0) << position)
        };
        let used = self.bits % 64;
        let free = if used == 0 { 0 } else { 64 - used };
        let (first, rest) = bytes.split_at(free.min(bytes.len()));
        if let Some(last) = self.words.last_mut() {
            *last |= word(first) << used;
        }
        self.words.extend(rest.chunks(64).map(word));
        self.bits += bytes.len();
    }

    fn finish(self) -> BooleanBuffer {
        BooleanBuffer::new(Buffer::from_vec(self.words), 0, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_are_built_from_parts_of_any_length() {
        let bytes: Vec<u8> = (0..1000u32).map(|row| u8::from(row % 3 == 0 || row % 7 == 1)).collect();
        let selected: Vec<u8> = (0..1000u32).map(|row| u8::from(row % 5 != 2)).collect();
        for length in [1, 2, 63, 64, 65, 100, 127, 128, 1000] {
            let (mut all, mut some) = (BitmapBuilder::with_capacity(0), BitmapBuilder::with_capacity(0));
            for (bytes, selected) in bytes.chunks(length).zip(selected.chunks(length)) {
                all.extend(bytes, None);
                some.extend(bytes, Some(selected));
            }
            assert!(all.finish().iter().eq(bytes.iter().map(|&byte| byte != 0)), "{length}");
            let expected = bytes.iter().zip(&selected).filter(|(_, selected)| **selected != 0);
            assert!(some.finish().iter().eq(expected.map(|(byte, _)| *byte != 0)), "{length}");
        }
    }

    #[test]
    fn selected_numbers_move_together() {
        let numbers: Vec<u16> = (0..100).collect();
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let selected: Vec<u8> = numbers.iter().map(|number| u8::from(number % 3 == 1)).collect();
        let mut to = 0;
        for (chunk, selected) in selected.chunks(30).enumerate() {
            move_selected::<2>(&mut bytes, chunk * 30, selected, to);
            to += selected.iter().filter(|&&selected| selected != 0).count();
        }
        let moved = bytes.as_chunks::<2>().0[..to].iter().map(|number| u16::from_ne_bytes(*number));
        assert!(moved.eq((0..100).filter(|number| number % 3 == 1)));
    }
}
