//! An arbitrary-precision reference for results.

use astro_float::{BigFloat, RoundingMode};

/// The precision in bits, 11 more than that of an f64: the reference is exact to 1/2000 ULP.
pub const PRECISION: usize = 64;
/// The rounding mode of the reference.
pub const ROUNDING: RoundingMode = RoundingMode::ToEven;

/// The exact value of an f64.
pub fn big(x: f64) -> BigFloat {
    // BigFloat::from_f64 converts subnormal numbers incorrectly, so they are scaled to normal ones and back.
    const SCALE: i32 = 100;
    if x == 0.0 || x.abs() >= f64::MIN_POSITIVE {
        return BigFloat::from_f64(x, PRECISION);
    }
    let mut number = BigFloat::from_f64(x * 2f64.powi(SCALE), PRECISION);
    if let Some(exponent) = number.exponent() {
        number.set_exponent(exponent - SCALE);
    }
    number
}

/// The error of `result` in ULP: units in the last place of an f64 with the exponent of `exact`.
pub fn ulp_error(result: f64, exact: &BigFloat) -> f64 {
    if exact.is_zero() {
        return if result == 0.0 { 0.0 } else { f64::INFINITY };
    }
    let difference = big(result).sub(exact, PRECISION, ROUNDING);
    if difference.is_zero() {
        return 0.0;
    }
    let Some(exponent) = exact.exponent() else { return f64::INFINITY };
    // The mantissa of a BigFloat is in [1/2, 1), so the last of 53 bits is worth 2^(exponent - 53).
    let Some((words, _, _, difference_exponent, _)) = difference.as_raw_parts() else {
        return f64::INFINITY;
    };
    let mantissa = words.last().map_or(0.0, |&word| word as f64 / 2f64.powi(64));
    mantissa * 2f64.powi(difference_exponent - (exponent - 53))
}

/// The `index`-th output of SplitMix64, the same in every run.
pub fn random(index: u64) -> u64 {
    let state = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
