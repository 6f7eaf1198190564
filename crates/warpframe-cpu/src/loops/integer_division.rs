//! Division of integers through floating-point division, which has vector instructions.
//!
//! For integers `x` and `y` below 2^52, the quotient `x / y` in double precision, truncated, is that of the integers: if the
//! exact quotient is not an integer, it differs from the next integer by at least `1 / |y|`, that is by more than the rounding
//! error, which is at most `2^-53 |x / y|`.
//!
//! A constant divisor is replaced by its reciprocal, rounded away from zero. The magnitude of the product is that of the exact
//! quotient or larger, by less than `2^-51 |x / y|`. So for `|x| < 2^51` it is truncated to the same integer.

use warpframe_ir::ops::Binary;

use crate::block::{Location, WORD};

/// 1.5 * 2^52. The sum of it and an integer `n` in (-2^51, 2^51) has the bits of this number plus `n`.
pub(crate) const MAGIC: f64 = 6_755_399_441_055_744.0;

/// Integers from `-LIMIT` to `LIMIT - 1` are divided through floating-point division.
pub(crate) const LIMIT: i64 = 1 << 50;

/// `x / y`, as `Binary::Divide` defines it.
#[inline(always)]
pub fn divide_i32(x: i32, y: i32) -> i32 {
    let quotient = (f64::from(x) / f64::from(y)).trunc();
    // The lowest 32 bits, so that the quotient 2^31 wraps around.
    let quotient = (quotient + MAGIC).to_bits() as i32;
    if y == 0 { 0 } else { quotient }
}

/// A constant divisor.
#[derive(Debug, Clone, Copy)]
pub struct IntegerDivisor<T> {
    value: T,
    /// `1 / value`, rounded away from zero; 0 if the value is 0.
    reciprocal: f64,
}

/// The reciprocal of a constant divisor, rounded away from zero; 0 of 0.
pub(crate) fn reciprocal(value: f64) -> f64 {
    match value {
        0.0 => 0.0,
        _ => (1.0 / value.abs()).next_up().copysign(value),
    }
}

impl IntegerDivisor<i32> {
    #[inline(always)]
    pub fn new(value: i32) -> Self {
        Self { value, reciprocal: reciprocal(value.into()) }
    }

    /// `x / value`, as `Binary::Divide` defines it.
    #[inline(always)]
    pub fn divide(self, x: i32) -> i32 {
        let quotient = (f64::from(x) * self.reciprocal).trunc();
        // The lowest 32 bits, so that the quotient 2^31 wraps around.
        (quotient + MAGIC).to_bits() as i32
    }

    /// `x % value`, as `Binary::Remainder` defines it.
    #[inline(always)]
    pub fn remainder(self, x: i32) -> i32 {
        let remainder = x.wrapping_sub(self.divide(x).wrapping_mul(self.value));
        if self.value == 0 { 0 } else { remainder }
    }
}

impl IntegerDivisor<i64> {
    /// The divisor; `None` if it is not within the limits.
    #[inline(always)]
    pub fn new(value: i64) -> Option<Self> {
        are_small(&[value]).then(|| Self { value, reciprocal: reciprocal(value as f64) })
    }

    /// `x / value` of an integer within the limits, as `Binary::Divide` defines it.
    #[inline(always)]
    fn divide_small(self, x: i64) -> i64 {
        truncate(to_float(x) * self.reciprocal)
    }

    /// `x % value` of an integer within the limits, as `Binary::Remainder` defines it.
    #[inline(always)]
    fn remainder_small(self, x: i64) -> i64 {
        let remainder = x.wrapping_sub(self.divide_small(x).wrapping_mul(self.value));
        if self.value == 0 { 0 } else { remainder }
    }
}

/// `x % y`, as `Binary::Remainder` defines it.
#[inline(always)]
pub fn remainder_i32(x: i32, y: i32) -> i32 {
    let remainder = x.wrapping_sub(divide_i32(x, y).wrapping_mul(y));
    if y == 0 { 0 } else { remainder }
}

/// `x / y` of integers within the limits; 0 if `y` is 0.
#[inline(always)]
fn divide_small(x: i64, y: i64) -> i64 {
    let quotient = truncate(to_float(x) / to_float(y));
    if y == 0 { 0 } else { quotient }
}

/// An integer within the limits as a float.
#[inline(always)]
fn to_float(n: i64) -> f64 {
    f64::from_bits(MAGIC.to_bits().wrapping_add_signed(n)) - MAGIC
}

/// A float whose magnitude is below 2^51, rounded towards zero, as an integer.
#[inline(always)]
pub fn truncate(quotient: f64) -> i64 {
    (quotient.trunc() + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed()
}

/// `x % y` of integers within the limits; 0 if `y` is 0.
#[inline(always)]
fn remainder_small(x: i64, y: i64) -> i64 {
    let remainder = x.wrapping_sub(divide_small(x, y).wrapping_mul(y));
    if y == 0 { 0 } else { remainder }
}

/// Whether all integers are within the limits.
#[inline(always)]
fn are_small(x: &[i64]) -> bool {
    let outside = |x: i64| x.wrapping_add(LIMIT) as u64 / (2 * LIMIT as u64);
    x.iter().fold(0, |bits, &x| bits | outside(x)) == 0
}

/// Computes `x % y` if `REMAINDER`, else `x / y`, for each row, as the op table defines them. Mask words of rows with other
/// than small integers are divided by the CPU's instruction.
///
/// # Safety
/// The locations must be readable, and the target writable, for `rows` rows, a multiple of [`WORD`]. They do not overlap.
#[inline(always)]
pub unsafe fn divide_i64<const REMAINDER: bool>(
    x: Location<i64>,
    y: Location<i64>,
    target: *mut i64,
    rows: usize,
) {
    let op = if REMAINDER { Binary::Remainder } else { Binary::Divide };
    // SAFETY: the caller guarantees that the locations are readable.
    let (x, y) = unsafe { (words(x), words(y)) };
    let divisor = y.constant.and_then(|[y, ..]| IntegerDivisor::<i64>::new(y));
    for row in (0..rows).step_by(WORD) {
        // SAFETY: as above.
        let (x, y) = unsafe { (x.load(row), y.load(row)) };
        let mut results = [0; WORD];
        let pairs = results.iter_mut().zip(x.iter().zip(&y));
        match divisor {
            Some(divisor) if are_small(&x) => pairs.for_each(|(result, (&x, _))| {
                *result = if REMAINDER { divisor.remainder_small(x) } else { divisor.divide_small(x) };
            }),
            None if are_small(&x) && are_small(&y) => pairs.for_each(|(result, (&x, &y))| {
                *result = if REMAINDER { remainder_small(x, y) } else { divide_small(x, y) };
            }),
            _ => pairs.for_each(|(result, (&x, &y))| *result = op.i64(x, y)),
        }
        // SAFETY: the caller guarantees that the target is writable.
        unsafe { target.add(row).cast::<[i64; WORD]>().write(results) };
    }
}

/// The integers of a location, a word's rows at a time.
struct Words {
    location: Location<i64>,
    constant: Option<[i64; WORD]>,
}

/// # Safety
/// The location must be readable for a row.
#[inline(always)]
unsafe fn words(location: Location<i64>) -> Words {
    // SAFETY: the caller guarantees it.
    let constant = (location.stride == 0).then(|| [unsafe { location.first.read() }; WORD]);
    Words { location, constant }
}

impl Words {
    /// # Safety
    /// The location must be readable for a word's rows from this one on.
    #[inline(always)]
    unsafe fn load(&self, row: usize) -> [i64; WORD] {
        match self.constant {
            Some(constant) => constant,
            // SAFETY: the caller guarantees it.
            None => unsafe { self.location.first.add(row).cast::<[i64; WORD]>().read() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Integers around the limits and powers of two, and small ones.
    fn integers() -> Vec<i64> {
        let powers = (0..63).flat_map(|bits| (-2..3).map(move |near| (1i64 << bits) + near));
        let all = powers.chain([3, 7, 10, 1_000_003, i64::MAX, LIMIT - 1]);
        all.flat_map(|n| [n, -n, n.wrapping_mul(3), n ^ 0x5555]).chain([0, i64::MIN, -LIMIT]).collect()
    }

    #[test]
    fn quotients_and_remainders_are_those_of_the_op_table() {
        let integers = integers();
        for &y in &integers {
            // Dividends next to multiples of the divisor are the hardest.
            let near = |x: i64| [x, x.wrapping_div(y.max(1)).wrapping_mul(y).wrapping_sub(1)];
            let x: Vec<i64> = integers.iter().flat_map(|&x| near(x)).collect();
            for chunk in x.chunks_exact(WORD) {
                let (mut quotients, mut remainders) = ([0; WORD], [0; WORD]);
                let dividends = Location { first: chunk.as_ptr().cast_mut(), stride: 1 };
                let mut divisor = [y];
                let divisor = Location { first: divisor.as_mut_ptr(), stride: 0 };
                // SAFETY: the arrays have as many elements as a word has rows.
                unsafe {
                    divide_i64::<false>(dividends, divisor, quotients.as_mut_ptr(), WORD);
                    divide_i64::<true>(dividends, divisor, remainders.as_mut_ptr(), WORD);
                }
                for ((&x, quotient), remainder) in chunk.iter().zip(quotients).zip(remainders) {
                    assert_eq!(quotient, Binary::Divide.i64(x, y), "{x} / {y}");
                    assert_eq!(remainder, Binary::Remainder.i64(x, y), "{x} % {y}");
                    let (x, y) = (x as i32, y as i32);
                    assert_eq!(divide_i32(x, y), Binary::Divide.i32(x, y), "{x} / {y}");
                    assert_eq!(remainder_i32(x, y), Binary::Remainder.i32(x, y), "{x} % {y}");
                    let divisor = IntegerDivisor::<i32>::new(y);
                    assert_eq!(divisor.divide(x), Binary::Divide.i32(x, y), "{x} / {y}");
                    assert_eq!(divisor.remainder(x), Binary::Remainder.i32(x, y), "{x} % {y}");
                }
            }
        }
    }
}
