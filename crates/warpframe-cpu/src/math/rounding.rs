//! Rounding, truncation and sign, with DataFusion's signs of zeros.

use super::super::lanes::{Element, Lanes};

/// The nearest integer, halves away from zero.
#[inline(always)]
pub fn round<L: Lanes>(x: L) -> L {
    // The largest number below 1/2: adding 1/2 itself would round what lies just below a half up.
    let almost_half = L::splat(Element::ALMOST_HALF);
    x.add(almost_half.copysign(x)).trunc()
}

/// Towards zero; a zero of either sign gives +0, as DataFusion's.
#[inline(always)]
pub fn trunc<L: Lanes>(x: L) -> L {
    let zero = L::splat(Element::ZERO);
    L::select(x.equal(zero), zero, x.trunc())
}

/// 1 with the sign of `x`, +0 for a zero of either sign, NaN for NaN.
#[inline(always)]
pub fn signum<L: Lanes>(x: L) -> L {
    let zero = L::splat(Element::ZERO);
    let sign = L::splat(Element::ONE).copysign(x);
    L::select(x.equal(zero), zero, L::select(x.is_nan(), x, sign))
}
