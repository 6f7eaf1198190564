//! Subnormal and special arguments of formulas for normal numbers.

use super::super::lanes::{Lanes, SimdElement};

/// Arguments of a formula for positive normal numbers: `number = x 2^shift`.
#[derive(Clone, Copy)]
pub struct Normal<L> {
    /// A positive normal number.
    pub number: L,
    /// 0, or the exponent of a power of two for a subnormal or huge number.
    pub shift: L,
}

impl<L: Lanes> Normal<L> {
    /// The arguments `x`, if all lanes are positive normal numbers, and not too large ([`Lanes::are_normal`]).
    #[inline(always)]
    pub fn of(x: L) -> Option<Self> {
        x.are_normal().then_some(Self { number: x, shift: L::splat(L::Element::ZERO) })
    }

    /// The arguments for any `x`: 1 for a lane that is zero, negative, infinite or NaN.
    #[inline(always)]
    pub fn of_any(x: L) -> Self {
        let (zero, one) = (L::splat(L::Element::ZERO), L::splat(L::Element::ONE));
        let (scale, shift) = L::Element::SUBNORMAL_SCALE;
        let min = L::splat(L::Element::MIN_POSITIVE);
        let (scale, shift) = (L::splat(scale), L::splat(shift));
        let (is_small, is_huge) = (x.less(min), one.div(min).less(x));
        let number = L::select(is_small, x.mul(scale), L::select(is_huge, x.div(scale), x));
        let shift = L::select(is_small, shift, L::select(is_huge, shift.neg(), zero));
        // False for NaN.
        let is_finite = number.less(L::splat(L::Element::from_f64(f64::INFINITY)));
        let number = L::select(is_finite, number, one);
        let number = L::select(zero.less(number), number, one);
        Self { number, shift }
    }
}
