//! The elementary functions, written once over [`Lanes`]. Those without a single-precision form of their
//! own work in double precision for both types: [`Lanes::in_f64`]. How accurate each one is stands in the
//! op table.
//!
//! The polynomials interpolate at Chebyshev nodes, computed with 400 bits.

mod divisor;
mod exponential;
mod inverse;
mod log;
mod power;
mod trigonometric;

pub use divisor::Divisor;
pub use exponential::{Exp, Tanh};
pub use inverse::{Acos, Asin, Atan};
pub use log::{Log2, Log10, LogElement, ln};
pub use power::Power;
pub use trigonometric::{Cos, Sin, Tan};

use super::lanes::Lanes;

/// `c0 + x (c1 + x (c2 + ...))`
#[inline(always)]
fn horner<L: Lanes>(x: L, coefficients: &[L::Element]) -> L {
    let mut reversed = coefficients.iter().rev();
    // None of the tables is empty; an empty one would be the zero polynomial.
    let Some(&highest) = reversed.next() else {
        return L::splat(super::Element::ZERO);
    };
    reversed.fold(L::splat(highest), |sum, &c| sum.mul_add(x, L::splat(c)))
}

/// The nearest integer, halves away from zero.
#[inline(always)]
pub fn round<L: Lanes>(x: L) -> L {
    // The largest number below 1/2: adding 1/2 itself would round what lies just below a half up.
    let almost_half = L::splat(super::Element::ALMOST_HALF);
    x.add(almost_half.copysign(x)).trunc()
}

/// Towards zero; a zero of either sign gives +0, as DataFusion's.
#[inline(always)]
pub fn trunc<L: Lanes>(x: L) -> L {
    let zero = L::splat(super::Element::ZERO);
    L::select(x.equal(zero), zero, x.trunc())
}

/// 1 with the sign of `x`, +0 for a zero of either sign, NaN for NaN.
#[inline(always)]
pub fn signum<L: Lanes>(x: L) -> L {
    let zero = L::splat(super::Element::ZERO);
    let sign = L::splat(super::Element::ONE).copysign(x);
    L::select(x.equal(zero), zero, L::select(x.is_nan(), x, sign))
}
