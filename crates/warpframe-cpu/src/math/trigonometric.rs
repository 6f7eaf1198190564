//! Sine, cosine and tangent.
//!
//! Method: `x = n pi/2 + r` with `pi/2` in three parts (W. J. Cody and W. Waite, "Software Manual for the
//! Elementary Functions", 1980), `r` as a sum of two numbers, and a polynomial each for the sine and the
//! cosine of `r`. Lanes beyond 2^27, where the three parts no longer carry enough bits, are done one by one
//! with the standard library, and so is everything where multiply-adds are not fused.

use super::super::lanes::{DoubleLanes, Function64};
use super::polynomial::horner;

const PI_2: [f64; 3] = [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];

const LIMIT: f64 = (1u64 << 27) as f64;

/// Added to a number below 2^50, it leaves the nearest integer in the last bits of the sum.
const SHIFT: f64 = 1.5 * (1u64 << 52) as f64;

/// `(1 - sin(r) / r) / r^2` as a polynomial of `r^2` for |r| <= pi/4: 2^-55 relative to `sin(r) / r`.
const SIN: [f64; 6] = [
    0.16666666666666666,
    -0.008333333333330946,
    0.0001984126983675497,
    -2.755731610068303e-06,
    2.5051131455427946e-08,
    -1.591810123027412e-10,
];

/// `(cos(r) - 1 + r^2/2) / r^4` as a polynomial of `r^2` for |r| <= pi/4: 2^-59 relative to `cos(r)`.
const COS: [f64; 6] = [
    0.041666666666666664,
    -0.0013888888888887395,
    2.4801587298763433e-05,
    -2.7557317270560326e-07,
    2.0876146024689747e-09,
    -1.1382614868556325e-11,
];

/// An angle taken apart: the sine and the cosine of `r`, and in the last two bits of `turns` `n` modulo 4.
struct Reduced<L> {
    sin: L,
    cos: L,
    turns: L,
}

/// `ahead` is added to `n`, in `turns` alone.
#[inline(always)]
fn reduce<L: DoubleLanes>(x: L, ahead: f64) -> Reduced<L> {
    let shift = L::splat(SHIFT + ahead);
    let turns = x.mul_add(L::splat(std::f64::consts::FRAC_2_PI), shift);
    let n = turns.sub(shift);
    // Exact: both operands are multiples of 2^-53 and the result is below 1.
    let first = n.mul_add(L::splat(-PI_2[0]), x);
    // The product in two parts, and the rounding error of the difference: exact, though the first number may be
    // the smaller one, because it is a multiple of the other one's last bit (T. J. Dekker's fast two-sum).
    let second = n.mul(L::splat(PI_2[1]));
    let second_rest = n.mul_add(L::splat(PI_2[1]), second.neg());
    let r = first.sub(second);
    let lost = first.sub(r).sub(second);
    // What `r` has too much. Signs are chosen so that a zero keeps its own up to its sine.
    let excess = n.mul_add(L::splat(PI_2[2]), second_rest).sub(lost);

    let half = L::splat(0.5);
    let square = r.mul(r);
    // sin(r - excess) = sin r - excess cos r, with 1 - r^2/2 for the cosine.
    let slope = square.mul_add(half.neg(), L::splat(1.0));
    let sin = r.sub(square.mul(r).mul_add(horner(square, &SIN), excess.mul(slope)));
    // cos(r - excess) = cos r + excess sin r, with r for the sine; 1 - r^2/2 is rounded, its error kept.
    let slope_rest = square.mul_add(half.neg(), L::splat(1.0).sub(slope));
    let quartic = square.mul(square).mul_add(horner(square, &COS), r.mul(excess));
    let cos = slope.add(slope_rest.add(quartic));
    Reduced { sin, cos, turns }
}

impl<L: DoubleLanes> Reduced<L> {
    /// The sine of `n pi/2 + r`.
    #[inline(always)]
    fn sine(self) -> L {
        let magnitude = L::select(self.turns.has_bit(1), self.cos, self.sin);
        L::select(self.turns.has_bit(2), magnitude.neg(), magnitude)
    }
}

/// `result`, with the lanes done by the standard library whose argument is too large, or NaN.
#[inline(always)]
fn patch<L: DoubleLanes>(x: L, result: L, scalar: fn(f64) -> f64) -> L {
    let limit = L::splat(LIMIT);
    if L::mask_bits(x.abs().less(limit)) == L::mask_bits(limit.equal(limit)) {
        return result;
    }
    result.each_of(x, |result, x| if x.abs() < LIMIT { result } else { scalar(x) })
}

/// The sine.
pub struct Sin;

impl Function64<1> for Sin {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if L::FUSED { patch(x, reduce(x, 0.0).sine(), f64::sin) } else { x.each(f64::sin) }
    }
}

/// The cosine.
pub struct Cos;

impl Function64<1> for Cos {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if L::FUSED { patch(x, reduce(x, 1.0).sine(), f64::cos) } else { x.each(f64::cos) }
    }
}

/// The tangent: the quotient of both, the other way round and negative in odd quadrants.
pub struct Tan;

impl Function64<1> for Tan {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::FUSED {
            return x.each(f64::tan);
        }
        let Reduced { sin, cos, turns } = reduce(x, 0.0);
        let odd = turns.has_bit(1);
        let above = L::select(odd, cos.neg(), sin);
        let below = L::select(odd, sin, cos);
        patch(x, above.div(below), f64::tan)
    }
}
