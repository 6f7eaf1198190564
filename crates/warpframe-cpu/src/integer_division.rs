//! Division of integers through floating-point division, which has vector instructions.
//!
//! For integers `x` and `y` below 2^52, the quotient `x / y` in double precision, truncated, is that of the integers: if the
//! exact quotient is not an integer, it differs from the next integer by at least `1 / |y|`, that is by more than the rounding
//! error, which is at most `2^-53 |x / y|`.

use warpframe_ir::ops::Binary;

use super::block::{Location, WORD};

/// 1.5 * 2^52. The sum of it and an integer `n` in (-2^51, 2^51) has the bits of this number plus `n`.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// Integers from `-LIMIT` to `LIMIT - 1` are divided through floating-point division.
const LIMIT: i64 = 1 << 50;

/// `x / y`, as `Binary::Divide` defines it.
#[inline(always)]
pub(super) fn divide_i32(x: i32, y: i32) -> i32 {
    let quotient = (f64::from(x) / f64::from(y)).trunc();
    // The lowest 32 bits, so that the quotient 2^31 wraps around.
    let quotient = (quotient + MAGIC).to_bits() as i32;
    if y == 0 { 0 } else { quotient }
}

/// `x % y`, as `Binary::Remainder` defines it.
#[inline(always)]
pub(super) fn remainder_i32(x: i32, y: i32) -> i32 {
    let remainder = x.wrapping_sub(divide_i32(x, y).wrapping_mul(y));
    if y == 0 { 0 } else { remainder }
}

/// `x / y` of integers within the limits; 0 if `y` is 0.
#[inline(always)]
fn divide_small(x: i64, y: i64) -> i64 {
    let float = |n: i64| f64::from_bits(MAGIC.to_bits().wrapping_add_signed(n)) - MAGIC;
    let quotient = (float(x) / float(y)).trunc() + MAGIC;
    let quotient = quotient.to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed();
    if y == 0 { 0 } else { quotient }
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
pub(super) unsafe fn divide_i64<const REMAINDER: bool>(
    x: Location<i64>,
    y: Location<i64>,
    target: *mut i64,
    rows: usize,
) {
    let words = |location: Location<i64>| {
        // SAFETY: the caller guarantees that the location is readable.
        let constant = (location.stride == 0).then(|| [unsafe { location.first.read() }; WORD]);
        move |row: usize| match constant {
            Some(constant) => constant,
            // SAFETY: as above.
            None => unsafe { location.first.add(row).cast::<[i64; WORD]>().read() },
        }
    };
    let (x, y) = (words(x), words(y));
    for row in (0..rows).step_by(WORD) {
        let (x, y) = (x(row), y(row));
        let mut results = [0; WORD];
        let pairs = results.iter_mut().zip(x.iter().zip(&y));
        if are_small(&x) && are_small(&y) {
            for (result, (&x, &y)) in pairs {
                *result = if REMAINDER { remainder_small(x, y) } else { divide_small(x, y) };
            }
        } else {
            let op = if REMAINDER { Binary::Remainder } else { Binary::Divide };
            pairs.for_each(|(result, (&x, &y))| *result = op.i64(x, y));
        }
        // SAFETY: the caller guarantees that the target is writable.
        unsafe { target.add(row).cast::<[i64; WORD]>().write(results) };
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
                }
            }
        }
    }
}
