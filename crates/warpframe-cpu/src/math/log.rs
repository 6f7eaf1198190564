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

use std::{f32, f64};

use warpframe_ir::ops::Unary;

use super::super::lanes::{DoubleLanes, Lanes, Parts, SimdElement, Table};
use super::normal::Normal;
use super::polynomial::polynomial;

/// The constants of a logarithm for a floating-point type. `log` is the logarithm to its base.
pub struct LogConstants<E> {
    /// The high part of `-log r` for each cell.
    high: Table<E>,
    /// The low part of `-log r` for each cell, of 21 bits: AVX2 looks up numbers faster if their last 32 bits are zero.
    low: Table<E>,
    /// The high part of `log 2`.
    log2_high: E,
    /// The low part of `log 2`.
    log2_low: E,
}

/// The base of a logarithm other than the natural one: its constants, and `1 / ln base` as a sum of two numbers.
pub struct Base<E> {
    constants: LogConstants<E>,
    scale: [E; 2],
}

/// `r` for each cell, in 32nds: close to the reciprocal of its center.
const RECIPROCALS: [i8; 8] = [32, 29, 26, 24, 22, 20, 18, 17];

/// A floating-point type with the constants of its logarithms.
pub trait LogElement: Copy + Sized + 'static {
    /// `r` for each cell.
    const RECIPROCAL: Table<Self>;
    /// The constants of the natural logarithm.
    const LN: LogConstants<Self>;
    /// The binary logarithm.
    const BASE_2: Base<Self>;
    /// The decimal logarithm.
    const BASE_10: Base<Self>;

    /// `P` for registers of this type.
    fn polynomial<L: Lanes<Element = Self>>(f: L, square: L) -> L;
}

/// `P` for `f64`.
const LN_1P: [f64; 10] = [
    -0.5000000000000007,
    0.33333333333333587,
    -0.24999999999662903,
    0.19999999999193702,
    -0.16666667179584485,
    0.14285715151670117,
    -0.12499682719741241,
    0.11110694427906184,
    -0.10085553711172816,
    0.09183410828972616,
];

/// `P` for `f32`.
const LN_1P_F32: [f32; 4] = [-0.499_999_46, 0.333_332_15, -0.250_673_7, 0.200_863_2];

/// The high parts of `-ln r` for `f64`: multiples of 2^-42. 42 fractional bits and the 10 integer bits of |e ln 2| < 745 fit in
/// 53 bits.
const LN_HIGH: Table<f64> = Table([
    0.0,
    0.09844007281321865,
    0.20763936477828793,
    0.28768207245184385,
    0.3746934494413381,
    0.4700036292456389,
    0.5753641449034603,
    0.6325225587434034,
]);

impl LogElement for f64 {
    const RECIPROCAL: Table<f64> = {
        let mut reciprocals = [0.0; 8];
        let mut cell = 0;
        while cell < 8 {
            reciprocals[cell] = RECIPROCALS[cell] as f64 / 32.0;
            cell += 1;
        }
        Table(reciprocals)
    };

    const LN: LogConstants<f64> = LogConstants {
        high: LN_HIGH,
        low: Table([
            0.0,
            3.38712348099679e-14,
            -4.342541408929035e-14,
            -6.29235704339981e-14,
            7.260468268266429e-14,
            9.667716930825132e-14,
            1.0152653457523586e-13,
            1.0711543414407276e-13,
        ]),
        log2_high: 0.6931471805598903,
        log2_low: 5.497923018708371e-14,
    };

    const BASE_2: Base<f64> = Base {
        constants: LogConstants {
            high: Table([
                0.0,
                0.14201900487250896,
                0.29956028185893047,
                0.41503749927892386,
                0.5405683813626183,
                0.6780719051125743,
                0.8300749985576203,
                0.9125371587497284,
            ]),
            low: Table([
                0.0,
                -8.107891528302824e-14,
                -2.2626513293197426e-14,
                -8.004187590504586e-14,
                8.443284049350352e-14,
                6.333860302562555e-14,
                6.728997784324897e-14,
                -6.781364749255947e-14,
            ]),
            log2_high: 1.0,
            log2_low: 0.0,
        },
        scale: [f64::consts::LOG2_E, 2.0355273740931033e-17],
    };

    const BASE_10: Base<f64> = Base {
        constants: LogConstants {
            high: Table([
                0.0,
                0.04275198042091688,
                0.09017663034910584,
                0.12493873660832833,
                0.16272729749766768,
                0.20411998265581133,
                0.24987747321665665,
                0.27470105694169433,
            ]),
            low: Table([
                0.0,
                3.3009077242407425e-14,
                -1.7823551879195265e-14,
                -2.8373706379217212e-14,
                3.206229769528446e-14,
                1.1345357162420577e-13,
                -5.6747412758434423e-14,
                -6.228508377462139e-14,
            ]),
            log2_high: 0.3010299956640665,
            log2_low: -8.532344317057107e-14,
        },
        scale: [f64::consts::LOG10_E, 1.098319650216765e-17],
    };

    #[inline(always)]
    fn polynomial<L: Lanes<Element = f64>>(f: L, square: L) -> L {
        polynomial(f, square, &LN_1P)
    }
}

impl LogElement for f32 {
    const RECIPROCAL: Table<f32> = {
        let mut reciprocals = [0.0; 8];
        let mut cell = 0;
        while cell < 8 {
            reciprocals[cell] = RECIPROCALS[cell] as f32 / 32.0;
            cell += 1;
        }
        Table(reciprocals)
    };

    // The high parts are multiples of 2^-16: 16 fractional bits and the 7 integer bits of |e ln 2| < 104 fit in 24 bits.
    const LN: LogConstants<f32> = LogConstants {
        high: Table([
            0.0,
            0.098_434_45,
            0.207_641_6,
            0.287_689_2,
            0.374_694_82,
            0.470_001_22,
            0.575_363_16,
            0.632_522_6,
        ]),
        low: Table([
            0.0,
            5.624_571_3e-6,
            -2.236_784_2e-6,
            -7.136_532_5e-6,
            -1.374_777_3e-6,
            2.408_542_5e-6,
            9.857_239e-7,
            -2.426_430_3e-8,
        ]),
        log2_high: 0.693_145_75,
        log2_low: 1.428_606_8e-6,
    };

    const BASE_2: Base<f32> = Base {
        constants: LogConstants {
            high: Table([
                0.0, 0.14201355, 0.29956055, 0.41503906, 0.5405731, 0.67807007, 0.8300781, 0.9125366,
            ]),
            low: Table([
                0.0,
                5.455068e-06,
                -2.650161e-07,
                -1.5632212e-06,
                -4.7387543e-06,
                1.8367533e-06,
                -3.1264424e-06,
                5.376559e-07,
            ]),
            log2_high: 1.0,
            log2_low: 0.0,
        },
        scale: [f32::consts::LOG2_E, 1.925963e-08],
    };

    const BASE_10: Base<f32> = Base {
        constants: LogConstants {
            high: Table([
                0.0,
                0.042755127,
                0.09017944,
                0.124938965,
                0.16271973,
                0.20411682,
                0.24987793,
                0.27470398,
            ]),
            low: Table([
                0.0,
                -3.1465322e-06,
                -2.8130103e-06,
                -2.2823545e-07,
                7.5709354e-06,
                3.1613667e-06,
                -4.564709e-07,
                -2.9225505e-06,
            ]),
            log2_high: 0.3010254,
            log2_low: 4.605039e-06,
        },
        scale: [f32::consts::LOG10_E, -1.010305e-08],
    };

    #[inline(always)]
    fn polynomial<L: Lanes<Element = f32>>(f: L, square: L) -> L {
        polynomial(f, square, &LN_1P_F32)
    }
}

/// The constants of [`ln_hi_lo`]: those of the natural logarithm with all bits of the low parts.
const LN_PRECISE: LogConstants<f64> = LogConstants {
    high: LN_HIGH,
    low: Table([
        0.0,
        3.3871241029241416e-14,
        -4.3425422595242564e-14,
        -6.292357389008195e-14,
        7.260466149925637e-14,
        9.667719603235566e-14,
        1.0152652766306816e-13,
        1.0711543657844876e-13,
    ]),
    ..f64::LN
};

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
    sum.add(square.mul_add(L::Element::polynomial(f, square), low.add(sum_error)))
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
    sum.add(square.mul(scale).mul_add(L::Element::polynomial(f, square), rest))
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
