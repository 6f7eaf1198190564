//! The hyperbolic functions in double precision.
//!
//! Method: `x = n ln 2 + r` as for the exponential function, for a magnitude `x`.
//!
//! Sine and cosine: with `w = 2^(-2n)`
//!
//! - `sinh x = 2^(n-1) ((1 - w) cosh r + (1 + w) sinh r)`
//! - `cosh x = 2^(n-1) ((1 + w) cosh r + (1 - w) sinh r)`
//!
//! For `n = 0` these are `sinh r` and `cosh r`, so the relative error is small close to zero, too. `1 + w` and `1 - w` are
//! exact up to `n = 26`. `cosh r - 1` is used instead of `cosh r`: the dominating terms of the sum are then exact, and
//! there is only one rounding of the size of the result.
//!
//! Tangent: `tanh x = (e^(2x) - 1) / (e^(2x) + 1)`, of which numerator and denominator are divided by `2^n`, for
//! `2x = n ln 2 + r`. With `w = 2^-n` they are `(1 - w) + (e^r - 1)` and `(1 + w) + (e^r - 1)`. For larger `x` it is
//! computed as `1 - 2 / (e^(2x) + 1)`, which is more exact.

use super::super::lanes::{DoubleLanes, Function64, INTEGER_SHIFT};
use super::exponential;
use super::polynomial::polynomial;

/// `(sinh(r) / r - 1) / r^2` as a polynomial in `r^2` for |r| <= ln(2) / 2, a minimax polynomial: error 2^-61
/// relative to `sinh(r) / r`.
const SINH: [f64; 5] = [
    0.16666666666666677,
    0.008333333333321624,
    0.00019841269886133417,
    2.755724421014902e-06,
    2.510903411142188e-08,
];

/// `(cosh(r) - 1) / r^2` as a polynomial in `r^2` for |r| <= ln(2) / 2, a minimax polynomial: error 2^-58
/// relative to `cosh(r)`.
const COSH: [f64; 5] = [
    0.5000000000000013,
    0.04166666666651441,
    0.0013888888947226345,
    2.4801489761785393e-05,
    2.7631334995592384e-07,
];

/// For magnitudes below this limit the powers of two in the formulas are normal numbers.
const LIMIT: f64 = 350.0;

/// The magnitude from which the tangent is computed as a difference from 1.
const SMALL_TANH: f64 = 0.8;

/// The parts of the formulas of sine and cosine.
struct Reduced<L> {
    /// The integer `n`.
    n: L,
    /// `n` plus [`INTEGER_SHIFT`].
    shifted: L,
    /// sinh r
    sinh: L,
    /// cosh r - 1
    cosh_minus_1: L,
}

impl<L: DoubleLanes> Reduced<L> {
    /// Reduces a number from 0 to 750.
    #[inline(always)]
    fn of(magnitude: L) -> Self {
        // The exact reduced argument is `r + rest`: sinh r changes by `rest`, and cosh r by `r rest`.
        let exponential::Reduced { n, shifted, r, rest } = exponential::Reduced::of(magnitude);
        let square = r.mul(r);
        let fourth = square.mul(square);
        let sinh = r.add(square.mul(r).mul_add(polynomial(square, fourth, &SINH), rest));
        let cosh_minus_1 = square.mul_add(polynomial(square, fourth, &COSH), r.mul(rest));
        Self { n, shifted, sinh, cosh_minus_1 }
    }

    /// `a cosh r + b sinh r`
    #[inline(always)]
    fn sum(&self, a: L, b: L) -> L {
        a.add(a.mul_add(self.cosh_minus_1, b.mul(self.sinh)))
    }
}

/// The hyperbolic sine (`sign` is -1) or cosine (`sign` is 1) of a magnitude below [`LIMIT`].
#[inline(always)]
fn below_limit<L: DoubleLanes>(magnitude: L, sign: f64) -> L {
    let reduced = Reduced::of(magnitude);
    let (one, half) = (L::splat(1.0), L::splat(0.5));
    let w = one.add_exponent(reduced.n.mul_add(L::splat(-2.0), L::splat(INTEGER_SHIFT)));
    let signed = w.mul(L::splat(sign));
    reduced.sum(one.add(signed), one.sub(signed)).mul(half.add_exponent(reduced.shifted))
}

/// As [`below_limit`], for any magnitude.
#[inline(always)]
fn of_any<L: DoubleLanes>(magnitude: L, sign: f64) -> L {
    // Above this bound the results are infinite in any case; up to it `n` is in the domain of `scale`.
    let reduced = Reduced::of(magnitude.clamp(L::splat(0.0), L::splat(750.0)));
    let one = L::splat(1.0);
    // Any `w` far below 2^-53 gives the same results.
    let w = one.scale(reduced.n.mul(L::splat(-2.0)).clamp(L::splat(-200.0), L::splat(0.0)));
    let signed = w.mul(L::splat(sign));
    let sum = reduced.sum(one.add(signed), one.sub(signed));
    // Half of the formula's factor, which overflows for the largest results.
    sum.add(sum).mul(one.scale(reduced.n.sub(L::splat(2.0))))
}

/// The hyperbolic sine. Scalar without FMA, where the formula is slower than the standard library.
pub struct Sinh;

impl Function64<1> for Sinh {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::HAS_FMA {
            return x.map_lanes(f64::sinh);
        }
        let magnitude = x.abs();
        if L::all(magnitude.less(L::splat(LIMIT))) {
            return below_limit(magnitude, -1.0).copysign(x);
        }
        of_any(magnitude, -1.0).copysign(x)
    }
}

/// The hyperbolic cosine. Scalar without FMA.
pub struct Cosh;

impl Function64<1> for Cosh {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::HAS_FMA {
            return x.map_lanes(f64::cosh);
        }
        let magnitude = x.abs();
        if L::all(magnitude.less(L::splat(LIMIT))) {
            return below_limit(magnitude, 1.0);
        }
        // NaN keeps its sign, which affects comparisons in the total order.
        L::select(x.is_nan(), x, of_any(magnitude, 1.0))
    }
}

/// The hyperbolic tangent.
pub struct Tanh;

impl Function64<1> for Tanh {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        let magnitude = x.abs();
        let one = L::splat(1.0);
        // Beyond this bound, and far below it, the result is 1.
        let doubled = magnitude.add(magnitude).clamp(L::splat(0.0), L::splat(LIMIT));
        let reduced = exponential::Reduced::of(doubled);
        let exp_minus_1 = reduced.r.add(reduced.higher_order());
        let w = one.add_exponent(L::splat(2.0 * INTEGER_SHIFT).sub(reduced.shifted));
        let denominator = one.add(w).add(exp_minus_1);
        let is_small = magnitude.less(L::splat(SMALL_TANH));
        let numerator = L::select(is_small, one.sub(w).add(exp_minus_1), w.mul(L::splat(-2.0)));
        let base = L::select(is_small, L::splat(0.0), one);
        base.add(numerator.div(denominator)).copysign(x)
    }
}
