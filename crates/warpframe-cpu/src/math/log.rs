//! The logarithms, with their tables.
//!
//! Method (table-driven reduction after P. T. P. Tang, "Table-driven implementation of the logarithm
//! function in IEEE floating-point arithmetic", ACM TOMS 16, 1990): write `x = m * 2^e` with `m` in
//! [1, 2), take from a table of sixteen cells an `r` close to `1/m`, and use
//! `ln x = e ln 2 - ln r + ln(1 + f)` with `f = m r - 1`.
//!
//! - `r` has so few bits that `f` is exact.
//! - `ln 2` and `-ln r` are split into a part on a coarse grid, so that `e ln 2 - ln r` is exact for every
//!   `e`, and a small rest.
//! - The first cell has `r = 1` and the last `r = 1/2`, so next to `x = 1`, from both sides, everything
//!   but `f` cancels exactly and the relative error stays small.
//! - `ln(1 + f) = f + f^2 P(f)` on [-0.0372, 0.0625], `P` being the minimax polynomial (Remez exchange,
//!   300-bit arithmetic) for the error relative to `f`: 2^-55.7 (f64, degree 8), 2^-27.9 (f32, degree 3).
//! - `high + (f + ...)`, high being `e ln 2 - ln r`: it is 0 or at least as large as f, so the inner sum's
//!   rounding weighs a quarter of an ULP at most, and that only for x within an eighth of 1.

use super::super::lanes::{DoubleLanes, Function64, Lanes};
use super::log_tables::{LOG2, LOG10, LogConstants, LogElement};
use super::polynomial::horner;

/// Natural logarithm in every lane, within 0.8 ULP: `ln(0) = -inf`, `ln(negative) = NaN`,
/// `ln(+inf) = +inf`, NaN stays NaN, subnormal arguments are exact like any other.
#[inline(always)]
pub fn ln<L: Lanes>(x: L) -> L {
    let constants = <L::Element as LogElement>::LN;
    let (mantissa, exponent, cells) = x.split();
    let f = mantissa.mul_sub_one(L::look_up(&constants.reciprocal, cells));

    let high = exponent.mul_add(L::splat(constants.log2_high), L::look_up(&constants.high, cells));
    let low = exponent.mul_add(L::splat(constants.log2_low), L::look_up(&constants.low, cells));

    let tail = f.mul(f).mul_add(horner(f, constants.polynomial), low);
    high.add(f.add(tail)).patch_ln(x)
}

/// Base 2 and base 10: the natural logarithm's formula times `1 / ln base`, that factor in two parts.
#[inline(always)]
fn log_to_base<L: DoubleLanes>(x: L, constants: &LogConstants<f64>, scale: [f64; 2]) -> L {
    let (mantissa, exponent, cells) = x.split();
    let f = mantissa.mul_sub_one(L::look_up(&constants.reciprocal, cells));
    let high = exponent.mul_add(L::splat(constants.log2_high), L::look_up(&constants.high, cells));
    let low = exponent.mul_add(L::splat(constants.log2_low), L::look_up(&constants.low, cells));
    let scaled = f.mul(L::splat(scale[0]));
    let rest = f.mul_add(L::splat(scale[0]), scaled.neg()).add(f.mul_add(L::splat(scale[1]), low));
    let tail = f.mul(f).mul(L::splat(scale[0])).mul_add(horner(f, constants.polynomial), rest);
    high.add(scaled.add(tail)).patch_ln(x)
}

/// Binary logarithm in every lane, as [`ln`]; powers of two give integers. Scalar where a fused
/// multiply-add is missing.
pub struct Log2;

impl Function64<1> for Log2 {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if L::FUSED {
            log_to_base(x, &LOG2, [std::f64::consts::LOG2_E, 2.0355273740931033e-17])
        } else {
            x.each(f64::log2)
        }
    }
}

/// Decimal logarithm in every lane, as [`Log2`].
pub struct Log10;

impl Function64<1> for Log10 {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if L::FUSED {
            log_to_base(x, &LOG10, [std::f64::consts::LOG10_E, 1.098319650216765e-17])
        } else {
            x.each(f64::log10)
        }
    }
}

/// `ln x` of positive finite numbers as a sum of two numbers, within 2^-61 of it. Only where multiply-adds
/// are fused.
#[inline(always)]
pub fn ln_hi_lo<L: DoubleLanes>(x: L) -> (L, L) {
    let constants = <f64 as LogElement>::LN;
    let (mantissa, exponent, cells) = x.split();
    let f = mantissa.mul_sub_one(L::look_up(&constants.reciprocal, cells));
    let high = exponent.mul_add(L::splat(constants.log2_high), L::look_up(&constants.high, cells));
    let low = exponent.mul_add(L::splat(constants.log2_low), L::look_up(&constants.low, cells));
    // |high| > |f| or high = 0, and each next term is smaller: the rounding errors of both sums are exact.
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
