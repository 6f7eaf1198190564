//! Polynomial evaluation.

use super::super::lanes::{Lanes, SimdElement};

/// `c0 + x (c1 + x (c2 + ...))`, by Horner's method. The coefficients are in ascending order of the degree.
#[inline(always)]
pub fn horner<L: Lanes>(x: L, coefficients: &[L::Element]) -> L {
    let mut reversed = coefficients.iter().rev();
    // No caller passes an empty slice; it would be the zero polynomial.
    let Some(&highest) = reversed.next() else {
        return L::splat(L::Element::ZERO);
    };
    reversed.fold(L::splat(highest), |sum, &c| sum.mul_add(x, L::splat(c)))
}
