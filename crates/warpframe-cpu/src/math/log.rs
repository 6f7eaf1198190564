//! The logarithms.
//!
//! Method (argument reduction after P. T. P. Tang, "Table-driven implementation of the logarithm function in IEEE
//! floating-point arithmetic", ACM TOMS 16, 1990, with a table that fits in a vector register): write `x = m 2^e` with `m` in
//! [23/24, 23/12), choose an approximation `r` of `1/m` for one of eight cells of this interval, and use
//! `ln x = e ln 2 - ln r + ln(1 + f)` with `f = m r - 1`, |f| <= 1/16.
//!
//! - `r` is a multiple of 1/32, so `f` is exact.
//! - `ln 2` and `-ln r` are each split into a high part, a multiple of a power of two so coarse that `e ln 2 - ln r` of
//!   the high parts is exact for every `e`, and a low part.
//! - `r = 1` in the cell [23/24, 25/24): for `x` close to 1, on either side, all terms except `f` are zero, and the relative
//!   error stays small.
//! - `ln(1 + f) = f + f^2 P(f)`, where `P` is a minimax polynomial. Its error is 2^-58 (f64, degree 9) or 2^-27 (f32, degree 3),
//!   relative to `f` for |f| < 0.0568, and beyond that relative to 0.28, the smallest logarithm of cells with such `f`.
//! - The sum of the high part and `f` is computed with its rounding error by T. J. Dekker's fast two-sum. All further terms
//!   are much smaller, so little more than the last rounding remains.

use warpframe_ir::ops::Unary;

use super::super::lanes::{DoubleLanes, Lanes, Parts, SimdElement};
use super::log_constants::{Base, LN_PRECISE, LogConstants, LogElement};
use super::normal::Normal;
use super::polynomial::polynomial;

/// A reduced argument: `log x = high + low + log(1 + f)`.
struct Reduced<L> {
    f: L,
    high: L,
    low: L,
}

impl<L: Lanes> Reduced<L> {
    #[inline(always)]
    fn of(x: Normal<L>, constants: &LogConstants<L::Element>) -> Self {
        let Parts { mantissa, exponent, cell } = x.number.decompose();
        let exponent = exponent.sub(x.shift);
        let reciprocal = L::look_up(&L::Element::RECIPROCAL, cell);
        let (high, low) = (L::look_up(&constants.high, cell), L::look_up(&constants.low, cell));
        Self {
            f: mantissa.mul_add(reciprocal, L::splat(L::Element::ONE).neg()),
            high: exponent.mul_add(L::splat(constants.log2_high), high),
            low: exponent.mul_add(L::splat(constants.log2_low), low),
        }
    }
}

/// `result`, except for special cases of the argument `x`: -inf for zero, +inf for +inf, NaN for negative numbers and NaN.
#[inline(always)]
fn patch<L: Lanes>(x: L, result: L) -> L {
    let zero = L::splat(L::Element::ZERO);
    let infinity = L::splat(L::Element::from_f64(f64::INFINITY));
    // 0 / 0 is the CPU's default NaN. Its sign affects comparisons in the total order.
    let difference = x.sub(x);
    let result = L::select(x.less(zero), difference.div(difference), result);
    let result = L::select(x.equal(zero), infinity.neg(), result);
    let result = L::select(x.equal(infinity), infinity, result);
    // The sum is a quiet NaN.
    L::select(x.is_nan(), x.add(x), result)
}

/// A logarithm by the standard library.
#[inline(always)]
fn scalar<L: Lanes>(x: L, op: Unary) -> L {
    x.map_lanes(|x| L::Element::from_f64(op.f64(x.to_f64())))
}

/// The natural logarithm, with an error of at most 0.65 ULP, also for subnormal arguments.
/// `ln(0) = -inf`, `ln(negative) = NaN`, `ln(+inf) = +inf`, `ln(NaN) = NaN`. Scalar without FMA.
#[inline(always)]
pub fn ln<L: Lanes>(x: L) -> L {
    if !L::HAS_FMA {
        return scalar(x, Unary::Ln);
    }
    match Normal::of(x) {
        Some(normal) => ln_of_normal(normal),
        None => patch(x, ln_of_normal(Normal::of_any(x))),
    }
}

#[inline(always)]
fn ln_of_normal<L: Lanes>(x: Normal<L>) -> L {
    let Reduced { f, high, low } = Reduced::of(x, &L::Element::LN);
    let square = f.mul(f);
    // |high| > |f| or high = 0: the condition of fast two-sum.
    let sum = high.add(f);
    let sum_error = high.sub(sum).add(f);
    sum.add(square.mul_add(polynomial(f, square, L::Element::LN_1P), low.add(sum_error)))
}

/// A logarithm to another base.
#[inline(always)]
fn log_to_base<L: Lanes>(x: L, base: &Base<L::Element>) -> L {
    match Normal::of(x) {
        Some(normal) => log_of_normal(normal, base),
        None => patch(x, log_of_normal(Normal::of_any(x), base)),
    }
}

/// The formula of the natural logarithm, multiplied by `1 / ln base`.
#[inline(always)]
fn log_of_normal<L: Lanes>(x: Normal<L>, base: &Base<L::Element>) -> L {
    let [scale, scale_rest] = base.scale.map(L::splat);
    let Reduced { f, high, low } = Reduced::of(x, &base.constants);
    let square = f.mul(f);
    let scaled = f.mul(scale);
    let scaled_error = f.mul_add(scale, scaled.neg());
    // |high| > |scaled| or high = 0: the condition of fast two-sum.
    let sum = high.add(scaled);
    let sum_error = high.sub(sum).add(scaled);
    let rest = f.mul_add(scale_rest, low).add(scaled_error.add(sum_error));
    sum.add(square.mul(scale).mul_add(polynomial(f, square, L::Element::LN_1P), rest))
}

/// The binary logarithm, with an error of at most 0.75 ULP, and the special cases of [`ln`]; exact for
/// powers of two. Scalar without FMA.
#[inline(always)]
pub fn log2<L: Lanes>(x: L) -> L {
    if !L::HAS_FMA {
        return scalar(x, Unary::Log2);
    }
    log_to_base(x, &L::Element::BASE_2)
}

/// The decimal logarithm, with the error and the special cases of [`log2`]. Scalar without FMA.
#[inline(always)]
pub fn log10<L: Lanes>(x: L) -> L {
    if !L::HAS_FMA {
        return scalar(x, Unary::Log10);
    }
    log_to_base(x, &L::Element::BASE_10)
}

/// `ln x` as an unevaluated sum of two numbers, with a relative error of 2^-63. Requires FMA.
///
/// Method: with `f = g + h`, where `g` is a multiple of 2^-19, the largest terms `-f^2/2 + 5/16 f^3` of `ln(1 + f)` are
/// `g^2 (5/16 g - 1/2)`, which is exact, and `h (5/16 (f^2 + f g + g^2) - (f + g)/2)`. The rest is `f^3 Q(f)`; the first
/// coefficient of `Q`, 1/3 - 5/16, is small.
#[inline(always)]
pub fn ln_hi_lo<L: DoubleLanes>(x: Normal<L>) -> (L, L) {
    let (half, coefficient) = (L::splat(0.5), L::splat(5.0 / 16.0));
    let Reduced { f, high, low } = Reduced::of(x, &LN_PRECISE);
    let square = f.mul(f);
    // The sum's last bit is 2^-19: it is 1.5 times 2^33.
    let shift = L::splat(1.5 * (1u64 << 33) as f64);
    let g = f.add(shift).sub(shift);
    let h = f.sub(g);
    let exact = g.mul(g).mul(g.mul_add(coefficient, half.neg()));
    let sum_of_parts = f.add(g);
    let slope = g.mul_add(sum_of_parts, square).mul_add(coefficient, sum_of_parts.mul(half).neg());
    // |high| > |f| or high = 0, and each further term is smaller: fast two-sum yields the exact rounding errors of the
    // sums.
    let linear = high.add(f);
    let linear_rest = high.sub(linear).add(f);
    let sum = linear.add(exact);
    let sum_rest = linear.sub(sum).add(exact);
    let cubic = square.mul(f).mul_add(polynomial(f, square, &LN_1P_CUBIC), low);
    let rest = h.mul_add(slope, cubic).add(sum_rest.add(linear_rest));
    let result = sum.add(rest);
    (result, sum.sub(result).add(rest))
}

/// `Q`: `(ln(1 + f) - f + f^2/2 - 5/16 f^3) / f^3` for |f| <= 1/16, a minimax polynomial as `P`: error 2^-63.
const LN_1P_CUBIC: [f64; 10] = [
    0.020833333333334616,
    -0.25000000000000383,
    0.1999999999950067,
    -0.1666666666564726,
    0.14285714912964417,
    -0.1250000097343239,
    0.11110768721412656,
    -0.09999568866236257,
    0.0917537724690362,
    -0.08423353040229685,
];
