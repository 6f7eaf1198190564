//! The truth values that programs calculate of numbers, 64 rows at a time.

use super::dispatch::Element;
use super::execute::{Source, WORD};
use super::lanes::Lanes;

/// A test of two numbers.
pub(super) trait Test {
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask;
}

pub(super) struct TotalLess;
pub(super) struct SameBits;
pub(super) struct NotANumber;
pub(super) struct Negative;
pub(super) struct ZeroAndNegative;

impl Test for TotalLess {
    #[inline(always)]
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask {
        x.total_less(y)
    }
}

impl Test for SameBits {
    #[inline(always)]
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask {
        x.same_bits(y)
    }
}

impl Test for NotANumber {
    #[inline(always)]
    fn holds<L: Lanes>(x: L, _: L) -> L::Mask {
        x.is_nan()
    }
}

impl Test for Negative {
    #[inline(always)]
    fn holds<L: Lanes>(x: L, _: L) -> L::Mask {
        x.less(L::splat(L::Element::ZERO))
    }
}

impl Test for ZeroAndNegative {
    #[inline(always)]
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask {
        let zero = L::splat(L::Element::ZERO);
        let (is_zero, negative) = (x.equal(zero), y.less(zero));
        L::mask_from_bits(L::mask_bits(is_zero) & L::mask_bits(negative))
    }
}

/// The test of 64 rows.
///
/// # Safety
/// The sources must reach to the end of the word.
#[inline(always)]
pub(super) unsafe fn word_of<L: Lanes, T: Test>(
    x: Source<L::Element>,
    y: Source<L::Element>,
    word: usize,
) -> u64 {
    let mut bits = 0;
    for lane in (0..WORD).step_by(L::COUNT) {
        let row = word * WORD + lane;
        // SAFETY: the caller's promise.
        let mask = unsafe { T::holds::<L>(x.load(row), y.load(row)) };
        bits |= L::mask_bits(mask) << lane;
    }
    bits
}
