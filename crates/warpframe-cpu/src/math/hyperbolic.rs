//! The hyperbolic sine and cosine in double precision.
//!
//! Method: `|x| = k ln 2 + r` as for the exponential function, and with `w = 2^(-2k)`
//!
//! - `sinh |x| = 2^(k-1) ((1 - w) cosh r + (1 + w) sinh r)`
//! - `cosh x = 2^(k-1) ((1 + w) cosh r + (1 - w) sinh r)`
//!
//! For `k = 0` these are `sinh r` and `cosh r`, so the relative error is small close to zero, too. `1 + w` and `1 - w` are
//! exact up to `k = 26`. `cosh r - 1` is used instead of `cosh r`: the dominating terms of the sum are then exact, and
//! there is only one rounding of the size of the result.

use super::super::lanes::{DoubleLanes, Function64};
use super::exponential::{LN2_HIGH, LN2_LOW};
use super::polynomial::horner;

/// `(sinh(r) / r - 1) / r^2` as a polynomial in `r^2` for |r| <= ln(2) / 2; error 2^-58 relative to `sinh(r) / r`.
const SINH: [f64; 5] = [
    0.16666666666666669,
    0.008333333333330062,
    0.00019841269863053618,
    2.7557268459997064e-06,
    2.510038549551032e-08,
];

/// `(cosh(r) - 1) / r^2` as a polynomial in `r^2` for |r| <= ln(2) / 2; error 2^-64 relative to `cosh(r)`.
const COSH: [f64; 6] = [
    0.5,
    0.041666666666666664,
    0.0013888888888886552,
    2.4801587317144498e-05,
    2.755728296954995e-07,
    2.0911236630261545e-09,
];

/// The parts of the formulas.
struct Reduced<L> {
    /// sinh r
    sinh: L,
    /// cosh r - 1
    cosh_minus_1: L,
    /// 1 + w
    plus: L,
    /// 1 - w
    minus: L,
    /// 2^(k-2): half of the formula's factor, which overflows for the largest results.
    half_power: L,
}

impl<L: DoubleLanes> Reduced<L> {
    /// Reduces a number that is not negative.
    #[inline(always)]
    fn of(magnitude: L) -> Self {
        let one = L::splat(1.0);
        // Above this bound the results are infinite in any case; up to it `k` is in the domain of `scale`.
        let x = magnitude.clamp(L::splat(0.0), L::splat(750.0));
        let k = x.mul(L::splat(std::f64::consts::LOG2_E)).round_even();
        let high = k.mul_add(L::splat(-LN2_HIGH), x);
        let low = k.mul(L::splat(-LN2_LOW));
        let r = high.add(low);
        // The exact reduced argument is `r + rest`: sinh r changes by `rest`, and cosh r by `r rest`.
        let rest = high.sub(r).add(low);
        let square = r.mul(r);
        let sinh = r.add(square.mul(r).mul_add(horner(square, &SINH), rest));
        let cosh_minus_1 = square.mul_add(horner(square, &COSH), r.mul(rest));
        // Any `w` far below 2^-53 gives the same results.
        let w = one.scale(k.mul(L::splat(-2.0)).clamp(L::splat(-200.0), L::splat(0.0)));
        let half_power = one.scale(k.sub(L::splat(2.0)));
        Self { sinh, cosh_minus_1, plus: one.add(w), minus: one.sub(w), half_power }
    }
}

/// The hyperbolic sine. Scalar without FMA, where the formula is slower than the standard library.
pub struct Sinh;

impl Function64<1> for Sinh {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::HAS_FMA {
            return x.map_lanes(f64::sinh);
        }
        let Reduced { sinh, cosh_minus_1, plus, minus, half_power } = Reduced::of(x.abs());
        let sum = minus.add(minus.mul_add(cosh_minus_1, plus.mul(sinh)));
        sum.add(sum).mul(half_power).copysign(x)
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
        let Reduced { sinh, cosh_minus_1, plus, minus, half_power } = Reduced::of(x.abs());
        let sum = plus.add(plus.mul_add(cosh_minus_1, minus.mul(sinh)));
        let result = sum.add(sum).mul(half_power);
        // NaN keeps its sign, which affects comparisons in the total order.
        L::select(x.equal(x), result, x)
    }
}
