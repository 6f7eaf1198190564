//! Polynomial evaluation. The coefficients are in ascending order of the degree.

use super::super::lanes::{Lanes, SimdElement};

/// `c0 + x (c1 + x (c2 + ...))`, by Horner's method.
#[inline(always)]
pub fn horner<L: Lanes>(x: L, coefficients: &[L::Element]) -> L {
    let mut reversed = coefficients.iter().rev();
    // No caller passes an empty slice; it would be the zero polynomial.
    let Some(&highest) = reversed.next() else {
        return L::splat(L::Element::ZERO);
    };
    reversed.fold(L::splat(highest), |sum, &c| sum.mul_add(x, L::splat(c)))
}

/// The polynomial at `x`, given `square = x^2`: groups of four coefficients by G. Estrin's method, which are independent of
/// each other, and these by Horner's method in `x^4`. The latency is half of that of Horner's method alone, for one more
/// multiplication.
#[inline(always)]
pub fn polynomial<L: Lanes>(x: L, square: L, coefficients: &[L::Element]) -> L {
    let mut start = coefficients.len().saturating_sub(1) / 4 * 4;
    let mut sum = quad(x, square, &coefficients[start..]);
    let fourth = square.mul(square);
    while start > 0 {
        start -= 4;
        sum = fourth.mul_add(sum, quad(x, square, &coefficients[start..start + 4]));
    }
    sum
}

/// A polynomial of at most four coefficients. It is no closure, because closures are not always inlined into functions with
/// `#[target_feature]`.
#[inline(always)]
fn quad<L: Lanes>(x: L, square: L, coefficients: &[L::Element]) -> L {
    match coefficients.len() {
        0..=2 => horner(x, coefficients),
        _ => square.mul_add(horner(x, &coefficients[2..]), horner(x, &coefficients[..2])),
    }
}
