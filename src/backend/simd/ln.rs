//! The natural logarithm, written once over [`Lanes`], with its tables.
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

use super::lanes::Lanes;

/// The constants of the logarithm for one floating-point type.
pub struct LnConstants<T: 'static> {
    /// `r`, an approximation of `1/m` for each sixteenth of [1, 2).
    reciprocal: [T; 16],
    /// `-ln r`, rounded to the grid.
    ln_high: [T; 16],
    /// What the grid left of `-ln r`.
    ln_low: [T; 16],
    /// `ln 2`, rounded to the grid.
    ln2_high: T,
    /// What the grid left of `ln 2`.
    ln2_low: T,
    /// The coefficients of `P`, lowest first.
    polynomial: &'static [T],
}

/// A floating-point type with the constants of its logarithm.
pub trait LnElement: Copy + 'static {
    /// The constants.
    const LN: &'static LnConstants<Self>;
}

/// Natural logarithm in every lane, within 0.8 ULP: `ln(0) = -inf`, `ln(negative) = NaN`,
/// `ln(+inf) = +inf`, NaN stays NaN, subnormal arguments are exact like any other.
#[inline(always)]
pub fn ln<L: Lanes>(x: L) -> L {
    let constants = <L::Element as LnElement>::LN;
    let (mantissa, exponent, cells) = x.split();
    let f = mantissa.mul_sub_one(L::look_up(&constants.reciprocal, cells));

    let high = exponent.mul_add(L::splat(constants.ln2_high), L::look_up(&constants.ln_high, cells));
    let low = exponent.mul_add(L::splat(constants.ln2_low), L::look_up(&constants.ln_low, cells));

    let tail = f.mul(f).mul_add(horner(f, constants.polynomial), low);
    high.add(f.add(tail)).patch_ln(x)
}

/// `c0 + f (c1 + f (c2 + ...))`
#[inline(always)]
fn horner<L: Lanes>(f: L, coefficients: &[L::Element]) -> L {
    let mut reversed = coefficients.iter().rev();
    // The tables below are not empty; an empty one would be the zero polynomial.
    let Some(&highest) = reversed.next() else {
        return f.sub(f);
    };
    reversed.fold(L::splat(highest), |sum, &c| sum.mul_add(f, L::splat(c)))
}

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

impl LnElement for f64 {
    // The high parts are multiples of 2^-42: 42 bits and the 10 of |e ln 2| < 745 fit 53 bits.
    const LN: &'static LnConstants<f64> = &LnConstants {
        reciprocal: reciprocals!(),
        ln_high: [
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
        ln_low: [
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
        ln2_high: 0.6931471805598903,
        ln2_low: 5.497923018708371e-14,
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

impl LnElement for f32 {
    // The high parts are multiples of 2^-16: 16 bits and the 7 of |e ln 2| < 104 fit 24 bits.
    const LN: &'static LnConstants<f32> = &LnConstants {
        reciprocal: reciprocals!(),
        ln_high: [
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
        ln_low: [
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
        ln2_high: 0.693_145_75,
        ln2_low: 1.428_606_8e-6,
        polynomial: &[-0.499_999_9, 0.333_345_1, -0.250_246_1, 0.190_924_55],
    };
}
