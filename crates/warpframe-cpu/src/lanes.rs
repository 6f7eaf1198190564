//! `Lanes`: what the formulas ask of one vector register. Each instruction set implements it in a file of
//! its own; the formulas (`math`, `kernels`, `execute`) are written once on top of it. No formula lives
//! here.

use arrow_array::ArrayRef;
use warpframe_ir::ops::{Binary, Unary};

use super::math::log_tables::LogElement;

/// A floating-point type with a register type for every path: `f64` or `f32`.
pub trait Element: LogElement + Lanes<Element = Self> + Send + Sync {
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// The largest number below 1/2.
    const ALMOST_HALF: Self;
    /// The smallest and the largest magnitude of numbers that products with the inverse of a constant can stand for
    /// quotients of, and the largest of those constants.
    const DIVISIBLE: (f64, f64, f64);
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    type Avx512: Lanes<Element = Self>;
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    type Avx2: Lanes<Element = Self>;
    #[cfg(target_arch = "aarch64")]
    #[doc(hidden)]
    type Neon: Lanes<Element = Self>;

    /// The number, rounded to this type.
    fn from_f64(value: f64) -> Self;

    /// The number in double precision.
    fn to_f64(self) -> f64;

    /// Its inverse as a sum of two numbers.
    fn inverse(self) -> [Self; 2];

    /// The integer, rounded to this type.
    fn from_i64(value: i64) -> Self;

    /// The integer, rounded to this type.
    fn from_u64(value: u64) -> Self;

    /// The values of an array of this type; none if it has another.
    fn values(array: &ArrayRef) -> Option<&[Self]>;

    /// An op of one number.
    fn unary(op: Unary, x: Self) -> Self;

    /// An op of two numbers.
    fn binary(op: Binary, x: Self, y: Self) -> Self;
}

/// A vector register holding [`COUNT`](Lanes::COUNT) numbers.
///
/// Every operation works lane by lane and is a correctly rounded IEEE 754 operation unless it says
/// otherwise, so all paths that have a fused multiply-add give the same bits.
///
/// # Safety of implementations
///
/// The methods are safe to call only on a CPU with the instruction set of the implementing type.
/// `dispatch.rs` is the only caller, and enters each type's code through a function that carries the
/// matching `#[target_feature]` after the CPU was asked.
pub trait Lanes: Copy {
    /// The type of one lane.
    type Element: Element;
    /// The table cells picked by [`split`](Lanes::split), one a lane.
    type Cells: Copy;
    /// One truth value a lane.
    type Mask: Copy;
    /// How many lanes the register has; a divisor of 64.
    const COUNT: usize;
    /// Whether [`mul_add`](Lanes::mul_add) rounds once. Formulas that depend on it have another way.
    const FUSED: bool;

    /// Reads `COUNT` numbers.
    ///
    /// # Safety
    /// `from` must be valid for reading `COUNT` elements; it need not be aligned.
    unsafe fn load(from: *const Self::Element) -> Self;

    /// Writes `COUNT` numbers.
    ///
    /// # Safety
    /// `to` must be valid for writing `COUNT` elements; it need not be aligned.
    unsafe fn store(self, to: *mut Self::Element);

    /// Has the memory at an address brought into the cache, if it is any: the hardware does that by itself only up to the
    /// end of a page.
    #[inline(always)]
    fn prefetch(_: *const Self::Element) {}

    /// The same number in every lane.
    fn splat(value: Self::Element) -> Self;

    /// `self + other`
    fn add(self, other: Self) -> Self;

    /// `self - other`
    fn sub(self, other: Self) -> Self;

    /// `self * other`
    fn mul(self, other: Self) -> Self;

    /// `self / other`
    fn div(self, other: Self) -> Self;

    /// `self * factor + addend`, rounded once where the hardware can, else twice.
    fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// `self * factor - 1` without any rounding error, for `self` in [1, 2) and a `factor` of at most
    /// seven significant bits for which the difference is representable.
    fn mul_sub_one(self, factor: Self) -> Self;

    /// The square root; NaN for negative numbers.
    fn sqrt(self) -> Self;

    /// The number without its sign.
    fn abs(self) -> Self;

    /// The number with its sign turned.
    fn neg(self) -> Self;

    /// The magnitude of `self` with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;

    /// The integer below.
    fn floor(self) -> Self;

    /// The integer above.
    fn ceil(self) -> Self;

    /// The integer towards zero.
    fn trunc(self) -> Self;

    /// The nearest integer, halves to the even one.
    fn round_even(self) -> Self;

    /// `self` kept within bounds; NaN stays NaN.
    fn clamp(self, low: Self, high: Self) -> Self;

    /// `self < other` by IEEE 754: false if either is NaN.
    fn less(self, other: Self) -> Self::Mask;

    /// `self = other` by IEEE 754: false if either is NaN, and zeros are equal.
    fn equal(self, other: Self) -> Self::Mask;

    /// Whether the lane is NaN.
    fn is_nan(self) -> Self::Mask;

    /// `self < other` in the total order of IEEE 754, which Arrow compares by: -NaN, -inf, ..., -0, +0,
    /// ..., +inf, +NaN.
    fn total_less(self, other: Self) -> Self::Mask;

    /// Whether both have the same bits: equality in the total order.
    fn same_bits(self, other: Self) -> Self::Mask;

    /// Bit `i` says what lane `i` holds.
    fn mask_bits(mask: Self::Mask) -> u64;

    /// The opposite of [`mask_bits`](Lanes::mask_bits); higher bits are ignored.
    fn mask_from_bits(bits: u64) -> Self::Mask;

    /// Lanes of `yes` where the mask holds, else of `no`.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;

    /// A function in double precision, whatever the lanes are, rounded back to their type.
    fn in_f64<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self;

    /// Takes positive finite numbers apart: `self = mantissa * 2^exponent` with the mantissa in [1, 2),
    /// subnormal numbers included, and the sixteenth of [1, 2) the mantissa lies in.
    /// Lanes that are zero, negative, infinite or NaN give anything.
    fn split(self) -> (Self, Self, Self::Cells);

    /// The table's entry for each lane's cell.
    fn look_up(table: &[Self::Element; 16], cells: Self::Cells) -> Self;

    /// `self`, with the lanes replaced whose `argument` is none that a logarithm has a finite value
    /// for: zero gives -inf, +inf gives +inf, negative numbers and NaN give NaN.
    fn patch_ln(self, argument: Self) -> Self;

    /// A scalar function of each lane, one after the other.
    #[inline(always)]
    fn each(self, function: impl Fn(Self::Element) -> Self::Element) -> Self {
        self.each_of(self, |value, _| function(value))
    }

    /// A scalar function of the lanes of two registers, one after the other.
    #[inline(always)]
    fn each_of(self, other: Self, function: impl Fn(Self::Element, Self::Element) -> Self::Element) -> Self {
        const WIDEST: usize = 16;
        let mut left = [Self::Element::ZERO; WIDEST];
        let mut right = [Self::Element::ZERO; WIDEST];
        // SAFETY: no register has more than `WIDEST` lanes.
        unsafe {
            self.store(left.as_mut_ptr());
            other.store(right.as_mut_ptr());
        }
        for (left, right) in left.iter_mut().zip(right).take(Self::COUNT) {
            *left = function(*left, right);
        }
        // SAFETY: as above.
        unsafe { Self::load(left.as_ptr()) }
    }
}

/// [`Lanes`] of double precision.
pub trait DoubleLanes: Lanes<Element = f64> {
    /// `self * 2^exponent`, rounded once, for integers from -1100 to 1100 and a magnitude of `self` in
    /// [1/4, 4]. NaN in either gives NaN.
    fn scale(self, exponent: Self) -> Self;

    /// Whether the number's representation, as an integer, has this bit, given as a power of two.
    fn has_bit(self, bit: u64) -> Self::Mask;
}

/// A function of `N` numbers written for double precision.
pub trait Function64<const N: usize> {
    /// The function, lane by lane.
    fn apply<L: DoubleLanes>(arguments: [L; N]) -> L;
}
