//! Predicates of floats, evaluated for 64 rows at a time to a mask word.

use super::block::{Location, WORD};
use super::lanes::{Lanes, SimdElement};

/// A predicate of two floats.
pub(super) trait Predicate {
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask;
}

/// `x < y` in the total order of IEEE 754.
pub(super) struct TotalLt;
/// `x` and `y` have the same bits.
pub(super) struct BitEq;
/// `x` is NaN.
pub(super) struct IsNan;
/// `x < 0`.
pub(super) struct Negative;
/// `x = 0` and `y < 0`.
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

/// Evaluates a predicate for the 64 rows of a mask word. Bit `i` is row `i` of the word.
///
/// # Safety
/// Both locations must be readable for all rows of the word.
#[inline(always)]
pub(super) unsafe fn word_of<L: Lanes, P: Predicate>(
    x: Location<L::Element>,
    y: Location<L::Element>,
    word: usize,
) -> u64 {
    let mut bits = 0;
    for lane in (0..WORD).step_by(L::COUNT) {
        let row = word * WORD + lane;
        // SAFETY: the caller guarantees that the rows are readable.
        let mask = unsafe { P::holds::<L>(x.load(row), y.load(row)) };
        bits |= L::mask_bits(mask) << lane;
    }
    bits
}
