//! The exponential function, and the hyperbolic tangent, which is based on it.

use super::super::lanes::{DoubleLanes, Function64};
use super::polynomial::horner;

pub(super) const LN2_HIGH: f64 = 0.6931471805598903;
pub(super) const LN2_LOW: f64 = 5.497923018708371e-14;

/// `(e^r - 1 - r) / r^2` for |r| <= ln(2) / 2; error 2^-56 relative to `e^r`.
const EXP: [f64; 10] = [
    0.5000000000000001,
    0.16666666666666669,
    0.04166666666662413,
    0.008333333333330062,
    0.0013888888917213717,
    0.00019841269863053618,
    2.4801521295954376e-05,
    2.7557268459997064e-06,
    2.7620088445409746e-07,
    2.510038549551032e-08,
];

/// `e^(x + tail)` for a `tail` that is small compared with `x` or with 1.
///
/// Method: argument reduction `x = k ln 2 + r`, with `ln 2` as a sum of two numbers, of which the product of the first
/// with `k` is exact. The rounding error of `r` is compensated.
#[inline(always)]
pub fn exp_hi_lo<L: DoubleLanes>(x: L, tail: L) -> L {
    // Outside of these bounds the result is 0 or infinite in any case; within them `k` is in the domain of `scale`.
    let x = x.clamp(L::splat(-750.0), L::splat(750.0));
    let k = x.mul(L::splat(std::f64::consts::LOG2_E)).round_even();
    let high = k.mul_add(L::splat(-LN2_HIGH), x);
    let low = k.mul_add(L::splat(-LN2_LOW), tail);
    let r = high.add(low);
    let rest = high.sub(r).add(low);
    let higher_order = r.mul(r).mul_add(horner(r, &EXP), rest);
    L::splat(1.0).add(r.add(higher_order)).scale(k)
}

/// `e^x`
pub struct Exp;

impl Function64<1> for Exp {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        exp_hi_lo(x, L::splat(0.0))
    }
}

/// `(tanh(x) / x - 1) / x^2` as a polynomial in `x^2` for |x| <= 0.625; error 2^-57 relative to `tanh(x) / x`.
const TANH: [f64; 12] = [
    -0.3333333333333333,
    0.13333333333333042,
    -0.05396825396789699,
    0.021869488519008305,
    -0.008863235103240878,
    0.0035921217511549622,
    -0.0014557754120478055,
    0.0005896606577757043,
    -0.0002375906496055562,
    9.257116129556769e-05,
    -3.12011014257974e-05,
    6.485163482793113e-06,
];

/// The hyperbolic tangent: a polynomial for |x| < 0.625, else `1 - 2 / (e^(2|x|) + 1)` with the sign of `x`.
pub struct Tanh;

impl Function64<1> for Tanh {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        let magnitude = x.abs();
        let square = x.mul(x);
        let near = square.mul(horner(square, &TANH)).mul_add(x, x).copysign(x);
        let power = exp_hi_lo(magnitude.add(magnitude), L::splat(0.0));
        let one = L::splat(1.0);
        let far = one.sub(L::splat(2.0).div(power.add(one))).copysign(x);
        L::select(magnitude.less(L::splat(0.625)), near, far)
    }
}
