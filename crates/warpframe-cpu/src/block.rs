//! Blocks of rows: the size of a mask word, and the location of a value's numbers while a block is executed.

use super::lanes::{Lanes, SimdElement};

/// Rows in a mask word: Booleans and validity are bits of a `u64`.
pub(super) const WORD: usize = 64;

/// The location of a floating-point value: a pointer with a stride.
#[derive(Debug, Clone, Copy)]
pub(super) struct Location<E> {
    /// The number of the block's first row. Written through only where the value is in a register or in the output.
    pub first: *mut E,
    /// The distance between rows, in elements: 1, or 0 for a constant, of which there are as many copies as the widest
    /// vector register has lanes.
    pub stride: usize,
}

impl<E: SimdElement> Location<E> {
    pub const NONE: Self = Self { first: std::ptr::null_mut(), stride: 0 };

    /// Loads the rows from `row` on into a vector register.
    ///
    /// # Safety
    /// The location must be readable up to, but excluding, row `row + COUNT`.
    #[inline(always)]
    pub(super) unsafe fn load<L: Lanes<Element = E>>(self, row: usize) -> L {
        // SAFETY: the caller guarantees it for stride 1; a constant has `MAX_LANES` copies.
        unsafe { L::load(self.first.add(row * self.stride)) }
    }
}
