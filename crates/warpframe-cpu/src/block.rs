//! Blocks of rows: how the numbers of a value are addressed while a block runs through a program.

use super::lanes::{Element, Lanes};

/// Rows that share a word of Booleans.
pub(super) const WORD: usize = 64;

/// Where the numbers of a value lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<E> {
    /// Written through only where it is a register or the output.
    pub first: *mut E,
    /// 1, or 0 for a constant, which fills one register of any width.
    pub stride: usize,
}

impl<E: Element> Source<E> {
    pub const NONE: Self = Self { first: std::ptr::null_mut(), stride: 0 };

    /// # Safety
    /// The numbers must reach to `row + COUNT`.
    #[inline(always)]
    pub(super) unsafe fn load<L: Lanes<Element = E>>(self, row: usize) -> L {
        // SAFETY: as the caller promises; a constant has `WIDEST` copies.
        unsafe { L::load(self.first.add(row * self.stride)) }
    }
}
