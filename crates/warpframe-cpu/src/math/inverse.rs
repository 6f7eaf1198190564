//! The inverse trigonometric functions of one argument. Without FMA the standard library is used.

use super::super::lanes::{DoubleLanes, Function64};
use super::polynomial::polynomial;

pub(super) const PI_2: f64 = std::f64::consts::FRAC_PI_2;
/// pi/2 - `PI_2`.
pub(super) const PI_2_LOW: f64 = 6.123233995736766e-17;

/// `(asin(s) / s - 1) / s^2` as a polynomial in `s^2` for |s| <= 1/2, a minimax polynomial: error 2^-55.9
/// relative to `asin(s) / s`.
const ASIN: [f64; 12] = [
    0.16666666666665408,
    0.07500000000337012,
    0.04464285682832917,
    0.03038195913687292,
    0.022371758054880626,
    0.017359704662007803,
    0.01388523678272874,
    0.012169201172044699,
    0.006528027105056657,
    0.019528109080674896,
    -0.016223990607210633,
    0.03191208133465848,
];

/// `s + rest = asin(s)` as an unevaluated sum, of a number `s` in [0, 1/2] that the arc sine of a magnitude `x` up to 1
/// is reduced to.
///
/// Method: `s = x` below 1/2 (`is_small`). Else `s = sqrt((1 - x) / 2)` with `asin(x) = pi/2 - 2 asin(s)`.
struct ArcSine<L: DoubleLanes> {
    is_small: L::Mask,
    s: L,
    rest: L,
}

impl<L: DoubleLanes> ArcSine<L> {
    #[inline(always)]
    fn of(magnitude: L) -> Self {
        let half = L::splat(0.5);
        let is_small = magnitude.less(half);
        // 1 - x is exact for 1/2 <= x <= 1. It is negative for x > 1, and the root NaN.
        let halved = magnitude.mul_add(half.neg(), half);
        let (mut s, mut square) = (magnitude, magnitude.mul(magnitude));
        // The root is the most expensive part: skip it if no lane needs it.
        if L::RECORDS || !L::all(is_small) {
            s = L::select(is_small, magnitude, halved.sqrt());
            square = L::select(is_small, square, halved);
        }
        let rest = square.mul(s).mul(polynomial(square, square.mul(square), &ASIN));
        Self { is_small, s, rest }
    }
}

impl<L: DoubleLanes> ArcSine<L> {
    /// `base + base_low + factor (s + rest)`. The rounding error of the product and the sum of the first terms is compensated.
    #[inline(always)]
    fn times(self, factor: L, base: L, base_low: L) -> L {
        let high = factor.mul_add(self.s, base);
        let error = factor.mul_add(self.s, base.sub(high));
        high.add(factor.mul_add(self.rest, base_low).add(error))
    }
}

/// The arc sine.
pub struct Asin;

impl Function64<1> for Asin {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::HAS_FMA {
            return x.map_lanes(f64::asin);
        }
        let zero = L::splat(0.0);
        let arc = ArcSine::of(x.abs());
        let factor = L::select(arc.is_small, L::splat(1.0), L::splat(-2.0));
        let base = L::select(arc.is_small, zero, L::splat(PI_2));
        let base_low = L::select(arc.is_small, zero, L::splat(PI_2_LOW));
        arc.times(factor, base, base_low).copysign(x)
    }
}

/// The arc cosine: `pi/2 - asin(x)` for |x| < 1/2, else twice the arc sine of the root (see [`ArcSine`]), subtracted from
/// pi for negative `x`.
pub struct Acos;

impl Function64<1> for Acos {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::HAS_FMA {
            return x.map_lanes(f64::acos);
        }
        let (pi_2, pi_2_low) = (L::splat(PI_2), L::splat(PI_2_LOW));
        let arc = ArcSine::of(x.abs());
        let sign = L::splat(1.0).copysign(x);
        let factor = L::select(arc.is_small, sign.neg(), sign.add(sign));
        // 0 or pi for large x.
        let base = L::select(arc.is_small, pi_2, pi_2.sub(pi_2.copysign(x)));
        let base_low = L::select(arc.is_small, pi_2_low, pi_2_low.sub(pi_2_low.copysign(x)));
        arc.times(factor, base, base_low)
    }
}

/// `(atan(t) / t - 1) / t^2` as a polynomial in `t^2` for |t| <= 1, a minimax polynomial: error 2^-57
/// relative to `atan(t) / t`.
const ATAN: [f64; 20] = [
    -0.3333333333333307,
    0.19999999999951462,
    -0.14285714282575138,
    0.11111111007026689,
    -0.09090907002996286,
    0.07692279839307578,
    -0.06666404057432247,
    0.05880527812609255,
    -0.05253518540393546,
    0.04722322166020388,
    -0.042191788068867,
    0.03664190765015804,
    -0.029903853049685816,
    0.021984846458900635,
    -0.013900553525500422,
    0.007196498559240868,
    -0.002884916113192239,
    0.0008313210416848703,
    -0.00015216069639355874,
    1.3225059252083415e-05,
];

/// `atan(t) - t` for |t| <= 1.
#[inline(always)]
pub(super) fn atan_rest<L: DoubleLanes>(t: L) -> L {
    let square = t.mul(t);
    square.mul(t).mul(polynomial(square, square.mul(square), &ATAN))
}

/// The arc tangent: `pi/2 + atan(-1 / x)` for magnitudes above 1.
pub struct Atan;

impl Function64<1> for Atan {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::HAS_FMA {
            return x.map_lanes(f64::atan);
        }
        let (zero, one) = (L::splat(0.0), L::splat(1.0));
        let magnitude = x.abs();
        let is_large = one.less(magnitude);
        let numerator = L::select(is_large, one.neg(), magnitude);
        let t = numerator.div(L::select(is_large, magnitude, one));
        let base = L::select(is_large, L::splat(PI_2), zero);
        let base_low = L::select(is_large, L::splat(PI_2_LOW), zero);
        base.add(t).add(atan_rest(t).add(base_low)).copysign(x)
    }
}
