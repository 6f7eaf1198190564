//! `Lanes`: what the kernels ask of one vector register. Each instruction set implements it in a file
//! of its own; the formulas (`ln.rs`) are written once on top of it. No formula lives here.

use super::ln::LnElement;

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
    type Element: LnElement;
    /// The table cells picked by [`split`](Lanes::split), one a lane.
    type Cells: Copy;
    /// How many lanes the register has.
    const COUNT: usize;

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

    /// The same number in every lane.
    fn splat(value: Self::Element) -> Self;

    /// `self + other`
    fn add(self, other: Self) -> Self;

    /// `self - other`
    fn sub(self, other: Self) -> Self;

    /// `self * other`
    fn mul(self, other: Self) -> Self;

    /// `self * factor + addend`, rounded once where the hardware can, else twice.
    fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// `self * factor - 1` without any rounding error, for `self` in [1, 2) and a `factor` of at most
    /// seven significant bits for which the difference is representable.
    fn mul_sub_one(self, factor: Self) -> Self;

    /// Takes positive finite numbers apart: `self = mantissa * 2^exponent` with the mantissa in [1, 2),
    /// subnormal numbers included, and the sixteenth of [1, 2) the mantissa lies in.
    /// Lanes that are zero, negative, infinite or NaN give anything.
    fn split(self) -> (Self, Self, Self::Cells);

    /// The table's entry for each lane's cell.
    fn look_up(table: &[Self::Element; 16], cells: Self::Cells) -> Self;

    /// `self`, with the lanes replaced whose `argument` is none that a logarithm has a finite value
    /// for: zero gives -inf, +inf gives +inf, negative numbers and NaN give NaN.
    fn patch_ln(self, argument: Self) -> Self;
}
