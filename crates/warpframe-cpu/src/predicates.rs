//! Predicates of numbers, evaluated for 64 rows at a time to a mask word.

use super::block::{Location, WORD};
use super::lanes::Lanes;

/// A predicate of two numbers, in registers of their width.
pub(super) trait Predicate {
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask;
}

macro_rules! predicates {
    ($($(#[$documentation:meta])* $name:ident |$x:ident, $y:ident| $holds:expr;)+) => {$(
        $(#[$documentation])*
        pub(super) struct $name;

        impl Predicate for $name {
            #[inline(always)]
            fn holds<L: Lanes>($x: L, $y: L) -> L::Mask {
                $holds
            }
        }
    )+};
}

predicates! {
    /// `x < y` by IEEE 754.
    Less |x, y| x.less(y);
    /// `x = y` by IEEE 754.
    Equal |x, y| x.equal(y);
    /// `x < y` in the total order of IEEE 754.
    TotalLess |x, y| x.total_less(y);
    /// `x` and `y` have the same bits.
    SameBits |x, y| x.same_bits(y);
    /// `x < y` of signed integers.
    LessAsIntegers |x, y| x.less_as_integers(y);
    /// `x` is NaN.
    IsNan |x, _y| x.is_nan();
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
