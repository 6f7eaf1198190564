//! What becomes of the results of chunks: arrays, or reductions.

use std::ops::Range;

use super::gpu::Gpu;
use super::layout::{Layout, ResultPlace};
use super::memory::PinnedMemory;

/// Takes the results of the chunks of an evaluation, which a kernel has stored.
///
/// # Safety
/// The addresses that [`addresses`](Self::addresses) returns are valid for writes of the results' bytes until the value is
/// dropped.
pub(super) unsafe trait ChunkResults {
    /// The layout of a chunk of rows.
    fn layout(&self, rows: usize) -> Layout;

    /// The number of blocks of the grid for a chunk of rows.
    fn blocks(&self, gpu: &Gpu, rows: usize) -> u32;

    /// The addresses to which the results without a place in staging memory are copied, of a chunk that starts at a row, in
    /// the order of [`Layout::direct`].
    fn addresses(&self, first_row: usize) -> Vec<*mut u8>;

    /// Adds the results of a chunk of rows.
    ///
    /// # Safety
    /// The chunk is the next one in the order of rows, and its operations have completed.
    unsafe fn add_chunk(&mut self, rows: Range<usize>, layout: &Layout, staged: StagedResults);
}

/// The staged results of a completed chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct StagedResults<'a>(&'a PinnedMemory);

impl<'a> StagedResults<'a> {
    /// The results in staging memory.
    ///
    /// # Safety
    /// The operations of the chunk have completed: all places of its layout that are staged have been written.
    pub unsafe fn new(staging: &'a PinnedMemory) -> Self {
        Self(staging)
    }

    /// The bytes of a staged result.
    pub fn bytes(&self, place: ResultPlace) -> &'a [u8] {
        debug_assert!(place.column.staged);
        // SAFETY: the bytes have been written, and no operation is pending: see `new`.
        unsafe { self.0.range(place.offset, place.column.bytes) }
    }
}
