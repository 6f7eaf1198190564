//! Sine, cosine and tangent.
//!
//! Method: `x = n pi/2 + r` with `pi/2` in three parts (W. J. Cody and W. Waite, "Software Manual for the
//! Elementary Functions", 1980), `r` as a sum of two numbers, and a polynomial each for the sine and the
//! cosine of `r`. Lanes beyond 2^27, where the three parts no longer carry enough bits, are done one by one
//! with the standard library, and so is everything where multiply-adds are not fused.

use super::super::lanes::{DoubleLanes, Function64};
use super::horner;

const PI_2: [f64; 3] = [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];

const LIMIT: f64 = (1u64 << 27) as f64;

/// `(sin(r) / r - 1) / r^2` as a polynomial of `r^2` for |r| <= pi/4: 2^-55 relative to `sin(r) / r`.
const SIN: [f64; 6] = [
    -0.16666666666666666,
    0.008333333333330946,
    -0.0001984126983675497,
    2.755731610068303e-06,
    -2.5051131455427946e-08,
    1.591810123027412e-10,
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

/// An angle taken apart: the sine and the cosine of `r`, and `n` modulo 4.
struct Reduced<L> {
    sin: L,
    cos: L,
    quadrant: L,
}

#[inline(always)]
fn reduce<L: DoubleLanes>(x: L) -> Reduced<L> {
    let n = x.mul(L::splat(std::f64::consts::FRAC_2_PI)).round_even();
    // The first difference is exact: both operands are multiples of 2^-53 and the result is below 1.
    let first = n.mul_add(L::splat(-PI_2[0]), x);
    // The product in two parts, and the rounding error of the difference (D. E. Knuth's two-sum).
    let second = n.mul(L::splat(PI_2[1]));
    let second_rest = n.mul_add(L::splat(PI_2[1]), second.neg());
    let r = first.sub(second);
    let part = r.sub(first);
    let lost = first.sub(r.sub(part)).sub(second.add(part));
    let rest = lost.sub(n.mul_add(L::splat(PI_2[2]), second_rest));

    let half = L::splat(0.5);
    let square = r.mul(r);
    // sin(r + rest) = sin r + rest cos r, with 1 - r^2/2 for the cosine.
    let slope = square.mul_add(half.neg(), L::splat(1.0));
    let curved = square.mul(r).mul_add(horner(square, &SIN), rest.mul(slope));
    let sin = r.add(curved);
    // cos(r + rest) = cos r - rest sin r, with r for the sine; 1 - r^2/2 is rounded, its error kept.
    let slope_rest = L::splat(1.0).sub(slope).sub(square.mul(half));
    let quartic = square.mul(square).mul_add(horner(square, &COS), r.mul(rest).neg());
    let cos = slope.add(slope_rest.add(quartic));

    let quadrant = n.sub(n.mul(L::splat(0.25)).floor().mul(L::splat(4.0)));
    // A zero keeps its sign.
    let sin = L::select(x.equal(L::splat(0.0)), x, sin);
    Reduced { sin, cos, quadrant }
}

impl<L: DoubleLanes> Reduced<L> {
    /// The sine of `n pi/2 + r`, `n` being the quadrant and `ahead` more.
    #[inline(always)]
    fn sine(self, ahead: f64) -> L {
        let turned = self.quadrant.add(L::splat(ahead));
        let quadrant = turned.sub(turned.mul(L::splat(0.25)).floor().mul(L::splat(4.0)));
        let odd = quadrant.equal(L::splat(1.0));
        let odd_below = quadrant.equal(L::splat(3.0));
        let magnitude = L::select(odd, self.cos, L::select(odd_below, self.cos, self.sin));
        L::select(L::splat(1.5).less(quadrant), magnitude.neg(), magnitude)
    }
}

/// `result`, with the lanes done by the standard library whose argument is too large.
#[inline(always)]
fn patch<L: DoubleLanes>(x: L, result: L, scalar: fn(f64) -> f64) -> L {
    if L::mask_bits(L::splat(LIMIT).less(x.abs())) == 0 {
        return result;
    }
    result.each_of(x, |result, x| if x.abs() > LIMIT { scalar(x) } else { result })
}

/// The sine.
pub struct Sin;

impl Function64<1> for Sin {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if L::FUSED { patch(x, reduce(x).sine(0.0), f64::sin) } else { x.each(f64::sin) }
    }
}

/// The cosine.
pub struct Cos;

impl Function64<1> for Cos {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if L::FUSED { patch(x, reduce(x).sine(1.0), f64::cos) } else { x.each(f64::cos) }
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
        let Reduced { sin, cos, quadrant } = reduce(x);
        let half = quadrant.mul(L::splat(0.5));
        let even = half.equal(half.floor());
        let above = L::select(even, sin, cos.neg());
        let below = L::select(even, cos, sin);
        patch(x, above.div(below), f64::tan)
    }
}
