//! Evaluation of polynomials.

use super::super::lanes::{Element, Lanes};

/// `c0 + x (c1 + x (c2 + ...))`
#[inline(always)]
pub fn horner<L: Lanes>(x: L, coefficients: &[L::Element]) -> L {
    let mut reversed = coefficients.iter().rev();
    // None of the tables is empty; an empty one would be the zero polynomial.
    let Some(&highest) = reversed.next() else {
        return L::splat(Element::ZERO);
    };
    reversed.fold(L::splat(highest), |sum, &c| sum.mul_add(x, L::splat(c)))
}
