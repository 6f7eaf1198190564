//! The numbers of an output, collected from completed chunks.

use std::ops::Range;
use std::sync::Arc;

use arrow_buffer::bit_iterator::BitIndexIterator;
use arrow_buffer::{Buffer, MutableBuffer};
use warpframe_ir::memory::Reservation;

use super::chunk_pipeline::{Failure, Reserve};
use super::driver::CudaError;
use super::gpu::Gpu;
use super::memory::reserved_buffer;
use super::pinned_pool::Pinned;

/// The numbers of an output, in memory for all rows of the evaluation, with the size of a number in bytes and the reservation
/// of the memory.
pub(super) struct NumberResults {
    memory: Memory,
    width: usize,
    reservation: Box<dyn Reservation>,
}

/// Where the numbers are.
enum Memory {
    /// In page-locked memory, to which they are copied from the GPU.
    Pinned(Pinned),
    /// In ordinary memory, to which they are copied from staging memory, because there is not enough page-locked memory.
    Pageable(MutableBuffer),
}

impl NumberResults {
    /// Memory for numbers of `width` bytes: page-locked memory, or ordinary memory if that is exhausted.
    ///
    /// # Errors
    /// The memory budget is exhausted, or the device has failed.
    pub fn new(
        gpu: &Arc<Gpu>,
        rows: usize,
        width: usize,
        limit: usize,
        reserve: &Reserve,
    ) -> Result<Self, Failure> {
        let reservation = reserve(rows * width)?;
        let memory = match gpu.pinned(rows * width, limit) {
            Ok(memory) => Memory::Pinned(memory),
            Err(CudaError::OutOfMemory(_)) => Memory::Pageable(MutableBuffer::with_capacity(rows * width)),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { memory, width, reservation })
    }

    /// The address of the number of a row in page-locked memory; `None` if the numbers of chunks are staged.
    pub fn address(&self, row: usize) -> Option<*mut u8> {
        match &self.memory {
            Memory::Pinned(memory) => Some(memory.address().as_ptr().wrapping_add(row * self.width)),
            Memory::Pageable(_) => None,
        }
    }

    /// Adds the numbers of a chunk: all, or those whose bits are set in the bitmap `selected`. Staged ones are in `staged`;
    /// others are at the address of their row, and selected ones are moved together, to the rows from `to` on.
    ///
    /// # Safety
    /// The numbers up to the end of `rows` have been written, as far as they are not staged, and no pending operation
    /// accesses them.
    pub unsafe fn add_chunk(
        &mut self,
        rows: Range<usize>,
        staged: &[u8],
        selected: Option<&[u8]>,
        to: usize,
    ) {
        let width = self.width;
        match (&mut self.memory, selected) {
            (Memory::Pinned(_), None) => {}
            (Memory::Pinned(memory), Some(selected)) => {
                // SAFETY: as the caller guarantees.
                let bytes = unsafe { memory.first_bytes_mut(rows.end * width) };
                let selected = BitIndexIterator::new(selected, 0, rows.len());
                match width {
                    1 => move_selected::<1>(bytes, rows.start, selected, to),
                    2 => move_selected::<2>(bytes, rows.start, selected, to),
                    4 => move_selected::<4>(bytes, rows.start, selected, to),
                    _ => move_selected::<8>(bytes, rows.start, selected, to),
                }
            }
            (Memory::Pageable(buffer), None) => buffer.extend_from_slice(staged),
            (Memory::Pageable(buffer), Some(selected)) => {
                for row in BitIndexIterator::new(selected, 0, rows.len()) {
                    buffer.extend_from_slice(&staged[row * width..(row + 1) * width]);
                }
            }
        }
    }

    /// The buffer of the first `rows` numbers. It is the page-locked memory itself, without a copy, unless that is more than
    /// twice as large: then the bytes are copied, so that few selected rows do not hold the memory of all rows.
    ///
    /// # Safety
    /// The numbers have been added, and no operation that writes to them is pending.
    pub unsafe fn finish(self, rows: usize) -> Buffer {
        let (bytes, mut reservation) = (rows * self.width, self.reservation);
        let (all, copy) = match self.memory {
            Memory::Pinned(memory) => {
                let all = memory.requested_bytes();
                if bytes >= all / 2 {
                    // SAFETY: as the caller guarantees.
                    return unsafe { memory.into_buffer(bytes, Some(reservation)) };
                }
                // SAFETY: as the caller guarantees.
                (all, Buffer::from_slice_ref(unsafe { memory.into_buffer(bytes, None) }.as_slice()))
            }
            Memory::Pageable(mut buffer) => {
                let all = buffer.capacity();
                if bytes >= all / 2 {
                    return reserved_buffer(buffer.into(), reservation);
                }
                buffer.shrink_to_fit();
                (all, buffer.into())
            }
        };
        reservation.shrink(all - bytes);
        reserved_buffer(copy, reservation)
    }
}

/// Moves numbers of a chunk, which starts at the row `from`, together, to the rows from `to` on. `to` is not greater than
/// `from`, and `selected` has the positions in the chunk, ascending.
fn move_selected<const WIDTH: usize>(
    bytes: &mut [u8],
    from: usize,
    selected: impl Iterator<Item = usize>,
    to: usize,
) {
    let (numbers, _) = bytes.as_chunks_mut::<WIDTH>();
    for (to, row) in (to..).zip(selected) {
        numbers[to] = numbers[from + row];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selected_numbers_move_together() {
        let numbers: Vec<u16> = (0..100).collect();
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let mut to = 0;
        for chunk in numbers.chunks(30) {
            let from = usize::from(chunk[0]);
            let selected: Vec<_> =
                (0..chunk.len()).filter(|position| (from + position).is_multiple_of(3)).collect();
            move_selected::<2>(&mut bytes, from, selected.iter().copied(), to);
            to += selected.len();
        }
        let moved = bytes.as_chunks::<2>().0[..to].iter().map(|number| u16::from_ne_bytes(*number));
        assert!(moved.eq((0..100).filter(|number| number % 3 == 0)));
    }
}
