//! The logarithms.
//!
//! Method (table-driven argument reduction after P. T. P. Tang, "Table-driven implementation of the logarithm function in
//! IEEE floating-point arithmetic", ACM TOMS 16, 1990): write `x = m * 2^e` with `m` in [1, 2), look up an approximation
//! `r` of `1/m` in a table of sixteen entries, and use `ln x = e ln 2 - ln r + ln(1 + f)` with `f = m r - 1`.
//!
//! - `r` has so few significant bits that `f` is exact.
//! - `ln 2` and `-ln r` are each split into a high part, a multiple of a power of two so coarse that `e ln 2 - ln r` of
//!   the high parts is exact for every `e`, and a low part.
//! - The first entry is `r = 1` and the last `r = 1/2`. So for `x` close to 1, on either side, all terms except `f` cancel
//!   exactly, and the relative error stays small.
//! - `ln(1 + f) = f + f^2 P(f)` on [-0.0372, 0.0625], where `P` is the minimax polynomial (Remez exchange in 300-bit
//!   arithmetic) for the error relative to `f`: 2^-55.7 (f64, degree 8), 2^-27.9 (f32, degree 3).
//! - The result is `high + (f + ...)` with `high = e ln 2 - ln r`. `high` is 0 or at least as large as `f`, so the
//!   rounding error of the inner sum contributes at most 1/4 ULP, and only for `x` within 1/8 of 1.

use super::super::lanes::{DoubleLanes, Function64, Lanes};
use super::log_tables::{LOG2, LOG10, LogConstants, LogElement};
use super::polynomial::horner;

/// The natural logarithm, with an error of at most 0.8 ULP, also for subnormal arguments. `ln(0) = -inf`,
/// `ln(negative) = NaN`, `ln(+inf) = +inf`, `ln(NaN) = NaN`.
#[inline(always)]
pub fn ln<L: Lanes>(x: L) -> L {
    let constants = <L::Element as LogElement>::LN;
    let (mantissa, exponent, indices) = x.split();
    let f = mantissa.mul_sub_one(L::look_up(&constants.reciprocal, indices));

    let high = exponent.mul_add(L::splat(constants.log2_high), L::look_up(&constants.high, indices));
    let low = exponent.mul_add(L::splat(constants.log2_low), L::look_up(&constants.low, indices));

    let tail = f.mul(f).mul_add(horner(f, constants.polynomial), low);
    high.add(f.add(tail)).patch_ln(x)
}

/// A logarithm to another base: the formula of the natural logarithm, multiplied by `1 / ln base`, which is given as a sum
/// of two numbers.
#[inline(always)]
fn log_to_base<L: DoubleLanes>(x: L, constants: &LogConstants<f64>, scale: [f64; 2]) -> L {
    let (mantissa, exponent, indices) = x.split();
    let f = mantissa.mul_sub_one(L::look_up(&constants.reciprocal, indices));
    let high = exponent.mul_add(L::splat(constants.log2_high), L::look_up(&constants.high, indices));
    let low = exponent.mul_add(L::splat(constants.log2_low), L::look_up(&constants.low, indices));
    let scaled = f.mul(L::splat(scale[0]));
    let rest = f.mul_add(L::splat(scale[0]), scaled.neg()).add(f.mul_add(L::splat(scale[1]), low));
    let tail = f.mul(f).mul(L::splat(scale[0])).mul_add(horner(f, constants.polynomial), rest);
    high.add(scaled.add(tail)).patch_ln(x)
}

/// The binary logarithm, with the special cases of [`ln`]; exact for powers of two. Scalar without FMA.
pub struct Log2;

impl Function64<1> for Log2 {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if L::HAS_FMA {
            log_to_base(x, &LOG2, [std::f64::consts::LOG2_E, 2.0355273740931033e-17])
        } else {
            x.map_lanes(f64::log2)
        }
    }
}

/// The decimal logarithm, with the special cases of [`ln`]. Scalar without FMA.
pub struct Log10;

impl Function64<1> for Log10 {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if L::HAS_FMA {
            log_to_base(x, &LOG10, [std::f64::consts::LOG10_E, 1.098319650216765e-17])
        } else {
            x.map_lanes(f64::log10)
        }
    }
}

/// `ln x` of positive finite numbers as an unevaluated sum of two numbers, with a relative error of 2^-61. Requires FMA.
#[inline(always)]
pub fn ln_hi_lo<L: DoubleLanes>(x: L) -> (L, L) {
    let constants = <f64 as LogElement>::LN;
    let (mantissa, exponent, indices) = x.split();
    let f = mantissa.mul_sub_one(L::look_up(&constants.reciprocal, indices));
    let high = exponent.mul_add(L::splat(constants.log2_high), L::look_up(&constants.high, indices));
    let low = exponent.mul_add(L::splat(constants.log2_low), L::look_up(&constants.low, indices));
    // |high| > |f| or high = 0, and each further term is smaller: fast two-sum yields the exact rounding errors of both
    // sums.
    let linear = high.add(f);
    let linear_rest = high.sub(linear).add(f);
    let square = f.mul(f);
    let square_rest = f.mul_add(f, square.neg());
    let half = square.mul(L::splat(-0.5));
    let sum = linear.add(half);
    let sum_rest = linear.sub(sum).add(half);
    let cubic = square.mul(f).mul_add(horner(f, &LN_1P_CUBIC), low);
    let rest = square_rest.mul_add(L::splat(-0.5), cubic).add(sum_rest.add(linear_rest));
    let result = sum.add(rest);
    (result, sum.sub(result).add(rest))
}

/// `(ln(1 + f) - f + f^2/2) / f^3` on [-0.0372, 0.0625].
const LN_1P_CUBIC: [f64; 10] = [
    0.3333333333333333,
    -0.24999999999999856,
    0.20000000000022444,
    -0.16666666667831184,
    0.14285714216881798,
    -0.12499997165396771,
    0.11111170064107498,
    -0.10002709292524078,
    0.09086622352911441,
    -0.07458944593004382,
];
