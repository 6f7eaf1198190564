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
use super::horner;

/// The constants of a logarithm for one floating-point type. "log" is the logarithm to its base.
pub struct LogConstants<T: 'static> {
    /// `r`, an approximation of `1/m` for each sixteenth of [1, 2).
    reciprocal: [T; 16],
    /// `-log r`, rounded to the grid.
    high: [T; 16],
    /// What the grid left of `-log r`.
    low: [T; 16],
    /// `log 2`, rounded to the grid.
    log2_high: T,
    /// What the grid left of `log 2`.
    log2_low: T,
    /// The coefficients of `P`, lowest first.
    polynomial: &'static [T],
}

/// A floating-point type with the constants of its natural logarithm.
pub trait LogElement: Copy + 'static {
    /// The constants.
    const LN: &'static LogConstants<Self>;
}

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
pub fn ln_in_two<L: DoubleLanes>(x: L) -> (L, L) {
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

// The reciprocals are multiples of 1/64, the same for both types.
macro_rules! reciprocals {
    () => {
        [
            64.0 / 64.0,
            58.0 / 64.0,
            56.0 / 64.0,
            52.0 / 64.0,
            50.0 / 64.0,
            48.0 / 64.0,
            46.0 / 64.0,
            44.0 / 64.0,
            42.0 / 64.0,
            40.0 / 64.0,
            39.0 / 64.0,
            37.0 / 64.0,
            36.0 / 64.0,
            35.0 / 64.0,
            34.0 / 64.0,
            32.0 / 64.0,
        ]
    };
}

impl LogElement for f64 {
    // The high parts are multiples of 2^-42: 42 bits and the 10 of |e ln 2| < 745 fit 53 bits.
    const LN: &'static LogConstants<f64> = &LogConstants {
        reciprocal: reciprocals!(),
        high: [
            0.0,
            0.09844007281321865,
            0.13353139262449076,
            0.20763936477828793,
            0.2468600779316148,
            0.28768207245184385,
            0.33024168687052224,
            0.3746934494413381,
            0.4212134650763346,
            0.4700036292456389,
            0.4953214372301318,
            0.5479651707155426,
            0.5753641449034603,
            0.603535021870357,
            0.6325225587434034,
            0.6931471805598903,
        ],
        low: [
            0.0,
            3.3871241029241416e-14,
            3.1859736349078334e-14,
            -4.3425422595242564e-14,
            -8.899851356560444e-14,
            -6.292357389008195e-14,
            5.4612144489920215e-14,
            7.260466149925637e-14,
            -3.1063837541003616e-14,
            9.667719603235566e-14,
            -1.0634899648532451e-13,
            -9.521443188786736e-14,
            1.0152652766306816e-13,
            -9.883674306179806e-14,
            1.0711543657844876e-13,
            5.497923018708371e-14,
        ],
        log2_high: 0.6931471805598903,
        log2_low: 5.497923018708371e-14,
        polynomial: &[
            -0.49999999999999867,
            0.33333333333351595,
            -0.25000000001222644,
            0.19999999932100201,
            -0.16666663535224466,
            0.14285776568468528,
            -0.12503081277046108,
            0.11107125769164443,
            -0.0898422781084709,
        ],
    };
}

impl LogElement for f32 {
    // The high parts are multiples of 2^-16: 16 bits and the 7 of |e ln 2| < 104 fit 24 bits.
    const LN: &'static LogConstants<f32> = &LogConstants {
        reciprocal: reciprocals!(),
        high: [
            0.0,
            0.098_434_45,
            0.133_529_66,
            0.207_641_6,
            0.246_856_69,
            0.287_689_2,
            0.330_245_97,
            0.374_694_82,
            0.421_218_87,
            0.470_001_22,
            0.495_315_55,
            0.547_958_4,
            0.575_363_16,
            0.603_530_9,
            0.632_522_6,
            0.693_145_75,
        ],
        low: [
            0.0,
            5.624_571_3e-6,
            1.729_538_6e-6,
            -2.236_784_2e-6,
            3.388_478_5e-6,
            -7.136_532_5e-6,
            -4.284_809e-6,
            -1.374_777_3e-6,
            -5.406_994e-6,
            2.408_542_5e-6,
            5.885_472e-6,
            6.796_692e-6,
            9.857_239e-7,
            4.138_081_4e-6,
            -2.426_430_3e-8,
            1.428_606_8e-6,
        ],
        log2_high: 0.693_145_75,
        log2_low: 1.428_606_8e-6,
        polynomial: &[-0.499_999_9, 0.333_345_1, -0.250_246_1, 0.190_924_55],
    };
}

/// Base 2. The high parts are multiples of 2^-42, as those of the natural logarithm.
const LOG2: LogConstants<f64> = LogConstants {
    reciprocal: reciprocals!(),
    high: [
        0.0,
        0.14201900487250896,
        0.1926450779424158,
        0.29956028185893047,
        0.356143810225376,
        0.41503749927892386,
        0.47643804394306244,
        0.5405683813626183,
        0.6076825772213397,
        0.6780719051125743,
        0.7145977811378543,
        0.7905466343711396,
        0.8300749985576203,
        0.8707169830549901,
        0.9125371587497284,
        1.0,
    ],
    low: [
        0.0,
        -8.107893466726174e-14,
        -1.9917399279874596e-14,
        -2.262651135603261e-14,
        -1.0069648492950886e-13,
        -8.00418555854124e-14,
        -7.531150579247643e-14,
        8.443284155858175e-14,
        -9.995925486528699e-14,
        6.33385952568616e-14,
        -1.02668366941445e-13,
        -8.937120568078598e-14,
        6.728996427240727e-14,
        4.3421195976986995e-14,
        -6.781363655020842e-14,
        0.0,
    ],
    log2_high: 1.0,
    log2_low: 0.0,
    polynomial: <f64 as LogElement>::LN.polynomial,
};

/// Base 10, likewise.
const LOG10: LogConstants<f64> = LogConstants {
    reciprocal: reciprocals!(),
    high: [
        0.0,
        0.04275198042091688,
        0.05799194697760868,
        0.09017663034910584,
        0.10720996964778351,
        0.12493873660832833,
        0.14342214230237005,
        0.16272729749766768,
        0.182930683585937,
        0.20411998265581133,
        0.21511536695743416,
        0.2379782499169778,
        0.24987747321665665,
        0.2621119296336474,
        0.27470105694169433,
        0.3010299956640665,
    ],
    low: [
        0.0,
        3.300906980985312e-14,
        7.807781277774597e-14,
        -1.78235453177227e-14,
        8.485692413569872e-14,
        -2.8373705641129622e-14,
        -5.695092715108574e-14,
        3.206228782072406e-14,
        4.9704107136616343e-14,
        1.1345357820417986e-13,
        -4.619725095885232e-14,
        -8.562758469916686e-14,
        -5.6747411282259244e-14,
        -3.584228446130624e-14,
        -6.22851074368937e-14,
        -8.532344317057107e-14,
    ],
    log2_high: 0.3010299956640665,
    log2_low: -8.532344317057107e-14,
    polynomial: <f64 as LogElement>::LN.polynomial,
};
