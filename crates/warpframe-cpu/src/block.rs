//! Blocks of rows: the size of a mask word, the place and the location of a value while a block is executed, the arguments of the
//! loops over its rows, and the memory of registers.

use super::lanes::{Lanes, SimdElement};
use super::math::Divisor;

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

/// Where a value is while a block is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: the loop has no such operand.
    None,
    /// The location of the numbers of the instruction at this position.
    Numbers(usize),
    /// The register for mask words with this number.
    Words(usize),
    /// The mask words of [`Step::Chosen`](super::block_code::Step::Chosen).
    Chosen,
}

/// The largest number of operands of a loop.
pub(super) const MAX_OPERANDS: usize = 4;

/// The arguments of a loop over the rows of a block.
///
/// All operands that the loop has must be readable, and the target must be writable, for all rows: for numbers of the types
/// that the loop is for, or for mask words of Booleans. The target overlaps with no operand.
pub(super) struct Arguments<'a> {
    /// The locations of the operands; of Booleans, of the mask words.
    pub operands: [Location; MAX_OPERANDS],
    /// The first number or mask word of the result.
    pub target: *mut (),
    /// The number of rows, a multiple of [`WORD`].
    pub rows: usize,
    /// The constants of the loop.
    pub data: &'a LoopData,
}

impl Arguments<'_> {
    /// The location of an operand, as that of numbers of a type.
    pub fn operand<T>(&self, index: usize) -> Location<T> {
        self.operands[index].of()
    }

    /// The mask words of an operand.
    ///
    /// # Safety
    /// The operand must be a Boolean.
    pub unsafe fn words(&self, index: usize) -> &[u64] {
        // SAFETY: the operand is readable for all rows.
        unsafe { std::slice::from_raw_parts(self.operands[index].first.cast(), self.rows / WORD) }
    }

    /// The mask words of the target.
    ///
    /// # Safety
    /// The target must be a Boolean, and no other reference to its words may exist.
    #[allow(clippy::mut_from_ref, reason = "the memory is not that of the arguments")]
    pub unsafe fn target_words(&self) -> &mut [u64] {
        // SAFETY: the target is writable for all rows, and mask words are initialized when they are allocated.
        unsafe { std::slice::from_raw_parts_mut(self.target.cast(), self.rows / WORD) }
    }
}

/// The constants of a loop, besides operands.
#[derive(Debug, Clone)]
pub(super) enum LoopData {
    /// None.
    None,
    /// A divisor; of `f32`, converted.
    Divisor(Divisor<f64>),
    /// The bits of a number.
    Bits(i64),
    /// The bits of the numbers of a table, ascending.
    Table(Vec<i64>),
}
