//! Rounding, truncation and signum, with the signs of zeros that DataFusion returns.

use super::super::lanes::{Lanes, SimdElement};

/// Rounds to the nearest integer, ties away from zero.
#[inline(always)]
pub fn round<L: Lanes>(x: L) -> L {
    // Adding 1/2 itself would round the largest number below 1/2 up to 1.
    let almost_half = L::splat(L::Element::ALMOST_HALF);
    x.add(almost_half.copysign(x)).trunc()
}

/// Rounds towards zero; +0 for a zero of either sign, as in DataFusion.
#[inline(always)]
pub fn trunc<L: Lanes>(x: L) -> L {
    let zero = L::splat(L::Element::ZERO);
    L::select(x.equal(zero), zero, x.trunc())
}

/// 1 with the sign of `x`; +0 for a zero of either sign; the positive NaN for NaN, as in DataFusion.
#[inline(always)]
pub fn signum<L: Lanes>(x: L) -> L {
    let zero = L::splat(L::Element::ZERO);
    let sign = L::splat(L::Element::ONE).copysign(x);
    L::select(x.equal(zero), zero, L::select(x.is_nan(), L::splat(L::Element::from_f64(f64::NAN)), sign))
}
