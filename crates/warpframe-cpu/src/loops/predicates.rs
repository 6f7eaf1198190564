//! Predicates of numbers, evaluated for 64 rows at a time to a mask word.

use crate::block::{Location, WORD};
use crate::lanes::{Lanes, SimdElement};

/// A predicate of two numbers, in registers of their width.
pub trait Predicate {
    fn holds<L: Lanes>(x: L, y: L) -> L::Mask;
}

macro_rules! predicates {
    ($($(#[$documentation:meta])* $name:ident |$x:ident, $y:ident| $holds:expr;)+) => {$(
        $(#[$documentation])*
        pub struct $name;

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
    /// [`TotalLess`], with zeros of both signs equal.
    TotalLessOfNumbers |x, y| canonicalize_zero(x).total_less(canonicalize_zero(y));
    /// [`SameBits`], with zeros of both signs equal.
    SameNumber |x, y| canonicalize_zero(x).same_bits(canonicalize_zero(y));
    /// `x` is NaN.
    IsNan |x, _y| x.is_nan();
}

/// `x` with -0 replaced by +0.
#[inline(always)]
fn canonicalize_zero<L: Lanes>(x: L) -> L {
    x.add(L::splat(L::Element::ZERO))
}

/// Evaluates a predicate for the 64 rows of a mask word. Bit `i` is row `i` of the word.
///
/// # Safety
/// Both locations must be readable for all rows of the word.
#[inline(always)]
pub unsafe fn word_of<L: Lanes, P: Predicate>(
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
