//! Predicates over numbers, evaluated for 64 rows at a time.

use super::block::{Source, WORD};
use super::lanes::{Element, Lanes};

/// A predicate over two numbers.
pub(super) trait Predicate {
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask;
}

pub(super) struct TotalLt;
pub(super) struct BitEq;
pub(super) struct IsNan;
pub(super) struct Negative;
pub(super) struct ZeroAndNegative;

impl Predicate for TotalLt {
    #[inline(always)]
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask {
        x.total_less(y)
    }
}

impl Predicate for BitEq {
    #[inline(always)]
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask {
        x.same_bits(y)
    }
}

impl Predicate for IsNan {
    #[inline(always)]
    fn holds<L: Lanes>(x: L, _: L) -> L::Mask {
        x.is_nan()
    }
}

impl Predicate for Negative {
    #[inline(always)]
    fn holds<L: Lanes>(x: L, _: L) -> L::Mask {
        x.less(L::splat(L::Element::ZERO))
    }
}

impl Predicate for ZeroAndNegative {
    #[inline(always)]
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask {
        let zero = L::splat(L::Element::ZERO);
        let (is_zero, negative) = (x.equal(zero), y.less(zero));
        L::mask_from_bits(L::mask_bits(is_zero) & L::mask_bits(negative))
    }
}

/// The predicate in 64 rows, one bit each.
///
/// # Safety
/// The sources must reach to the end of the word.
#[inline(always)]
pub(super) unsafe fn word_of<L: Lanes, P: Predicate>(
    x: Source<L::Element>,
    y: Source<L::Element>,
    word: usize,
) -> u64 {
    let mut bits = 0;
    for lane in (0..WORD).step_by(L::COUNT) {
        let row = word * WORD + lane;
        // SAFETY: the caller's promise.
        let mask = unsafe { P::holds::<L>(x.load(row), y.load(row)) };
        bits |= L::mask_bits(mask) << lane;
    }
    bits
}
