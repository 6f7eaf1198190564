//! Predicates of numbers, evaluated for 64 rows at a time to a mask word.

use warpframe_ir::{Comparison, ScalarType};

use super::block::{Location, MAX_LANES, WORD};
use super::instruction_set::InstructionSet;
use super::lanes::{Lanes, SimdElement};

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
pub(super) unsafe fn word_of<L: Lanes, P: Predicate>(x: Location, y: Location, word: usize) -> u64 {
    let (x, y) = (x.of::<L::Element>(), y.of::<L::Element>());
    let mut bits = 0;
    for lane in (0..WORD).step_by(L::COUNT) {
        let row = word * WORD + lane;
        // SAFETY: the caller guarantees that the rows are readable.
        let mask = unsafe { P::holds::<L>(x.load(row), y.load(row)) };
        bits |= L::mask_bits(mask) << lane;
    }
    bits
}

/// Evaluates a comparison of numbers of a type into mask words.
///
/// # Safety
/// Both locations must be readable for all rows of the words. The CPU must have the instruction set.
#[inline(always)]
pub(super) unsafe fn compare<S: InstructionSet>(
    comparison: Comparison,
    scalar_type: ScalarType,
    x: Location,
    y: Location,
    words: &mut [u64],
) {
    macro_rules! with {
        ($register:ident, $predicate:ty) => {
            for (word, bits) in words.iter_mut().enumerate() {
                // SAFETY: the caller has the same obligation.
                *bits = unsafe { word_of::<S::$register, $predicate>(x, y, word) };
            }
        };
    }
    use Comparison::*;
    match (scalar_type, comparison) {
        (ScalarType::F64, Lt) => with!(F64, Less),
        (ScalarType::F64, Eq) => with!(F64, Equal),
        (ScalarType::F64, TotalLt) => with!(F64, TotalLess),
        (ScalarType::F32, Lt) => with!(F32, Less),
        (ScalarType::F32, Eq) => with!(F32, Equal),
        (ScalarType::F32, TotalLt) => with!(F32, TotalLess),
        (ScalarType::F64, BitEq) | (ScalarType::I64, Eq | BitEq) => with!(F64, SameBits),
        (ScalarType::F32, BitEq) | (ScalarType::I32, Eq | BitEq) => with!(F32, SameBits),
        (ScalarType::I64, Lt | TotalLt) => with!(F64, LessAsIntegers),
        (ScalarType::I32, Lt | TotalLt) => with!(F32, LessAsIntegers),
        // Booleans are compared as mask words.
        (ScalarType::Bool, _) => {}
    }
}

/// The largest table that is searched with vector comparisons, one for each constant.
const VECTOR_TABLE: usize = 8;

/// For each row of mask words, whether a number's bits are in a table of ascending bits.
///
/// # Safety
/// As [`compare`].
#[inline(always)]
pub(super) unsafe fn in_table<L: Lanes>(x: Location, table: &[i64], words: &mut [u64]) {
    let x = x.of::<L::Element>();
    if table.len() > VECTOR_TABLE {
        for (word, found) in words.iter_mut().enumerate() {
            *found = (0..WORD).fold(0, |found, lane| {
                // SAFETY: the caller guarantees that the rows are readable; a constant has one number.
                let number = unsafe { x.first.add((word * WORD + lane) * x.stride).read_unaligned() };
                found | u64::from(table.binary_search(&number.to_integer_bits()).is_ok()) << lane
            });
        }
        return;
    }
    words.fill(0);
    for &bits in table {
        let constant = L::splat(L::Element::from_integer_bits(bits));
        for (word, found) in words.iter_mut().enumerate() {
            for lane in (0..WORD).step_by(L::COUNT) {
                // SAFETY: the caller guarantees that the rows are readable.
                let register: L = unsafe { x.load(word * WORD + lane) };
                *found |= L::mask_bits(register.same_bits(constant)) << lane;
            }
        }
    }
}

/// For each row of mask words, whether a floating-point number is NaN.
///
/// # Safety
/// As [`compare`].
#[inline(always)]
pub(super) unsafe fn is_nan<L: Lanes>(x: Location, words: &mut [u64]) {
    for (word, bits) in words.iter_mut().enumerate() {
        // SAFETY: the caller has the same obligation.
        *bits = unsafe { word_of::<L, IsNan>(x, x, word) };
    }
}

/// For each row of mask words, whether a number, of the bits of the registers' lanes, is not zero: by IEEE 754 for floats, so
/// that NaN is not zero.
///
/// # Safety
/// As [`compare`].
#[inline(always)]
pub(super) unsafe fn is_nonzero<L: Lanes, Eq: Predicate>(x: Location, words: &mut [u64]) {
    let copies = [L::Element::ZERO; MAX_LANES];
    let zero = Location { first: copies.as_ptr().cast_mut().cast(), stride: 0 };
    for (word, bits) in words.iter_mut().enumerate() {
        // SAFETY: the caller has the same obligation, and there are as many zeros as lanes.
        *bits = !unsafe { word_of::<L, Eq>(x, zero, word) };
    }
}
