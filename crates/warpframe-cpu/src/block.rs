//! Blocks of rows: the size of a mask word, the location of a value's numbers while a block is executed, and the memory of
//! registers.

use super::lanes::{Lanes, SimdElement};

/// Rows in a mask word: Booleans and validity are bits of a `u64`.
pub(super) const WORD: usize = 64;

/// A cache line, so that aligned vector registers do not cross two.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct CacheLine([u64; 8]);

impl CacheLine {
    pub const ZERO: Self = Self([0; 8]);
}

/// The location of a value's numbers: a pointer with a stride. Of `()` where the type of the numbers is not known.
#[derive(Debug)]
pub(super) struct Location<T = ()> {
    /// The number of the block's first row. Written through only where the value is in a register or in an output.
    pub first: *mut T,
    /// The distance between rows, in numbers: 1, or 0 for a constant, of which there are
    /// [`MAX_LANES`](super::lanes::MAX_LANES) copies.
    pub stride: usize,
}

impl<T> Clone for Location<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Location<T> {}

impl Location {
    pub const NONE: Self = Self { first: std::ptr::null_mut(), stride: 0 };

    /// The location as that of numbers of a type.
    pub fn of<T>(self) -> Location<T> {
        Location { first: self.first.cast(), stride: self.stride }
    }
}

impl<E: SimdElement> Location<E> {
    /// Loads the rows from `row` on into a vector register.
    ///
    /// # Safety
    /// The location must be readable up to, but excluding, row `row + COUNT`.
    #[inline(always)]
    pub unsafe fn load<L: Lanes<Element = E>>(self, row: usize) -> L {
        // SAFETY: the caller guarantees it for stride 1; a constant has `MAX_LANES` copies.
        unsafe { L::load(self.first.add(row * self.stride)) }
    }
}
