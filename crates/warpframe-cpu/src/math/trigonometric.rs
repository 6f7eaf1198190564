//! Sine, cosine and tangent.
//!
//! Method: argument reduction `x = n pi/2 + r` with `pi/2` as a sum of three numbers (W. J. Cody and W. Waite, "Software
//! Manual for the Elementary Functions", 1980) and `r` as a sum of two, then a polynomial for the sine and one for the
//! cosine of `r`. Lanes of magnitude 2^27 or more, for which the three numbers have too few bits, are computed by the
//! standard library, and so are all lanes without FMA.

use super::super::lanes::{DoubleLanes, Function64, INTEGER_SHIFT};
use super::polynomial::horner;

const PI_2: [f64; 3] = [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];

/// The arguments of the vector code have magnitudes below this limit.
const LIMIT: f64 = (1u64 << 27) as f64;

/// `(1 - sin(r) / r) / r^2` as a polynomial in `r^2` for |r| <= pi/4, a minimax polynomial: error 2^-57
/// relative to `sin(r) / r`.
const SIN: [f64; 6] = [
    0.1666666666666663,
    -0.008333333333322118,
    0.00019841269829589173,
    -2.7557313621268192e-06,
    2.5050747745842854e-08,
    -1.5896229238455574e-10,
];

/// `(cos(r) - 1 + r^2/2) / r^4` as a polynomial in `r^2` for |r| <= pi/4, a minimax polynomial: error
/// 2^-63 relative to `cos(r)`.
const COS: [f64; 6] = [
    0.041666666666666595,
    -0.0013888888888873056,
    2.4801587288851673e-05,
    -2.7557314179286946e-07,
    2.0875700840480536e-09,
    -1.1358536434561556e-11,
];

/// A reduced angle: the sine and the cosine of `r`, and the quadrant, `n` modulo 4, in the two lowest bits of `quadrant`.
struct Reduced<L> {
    sin: L,
    cos: L,
    quadrant: L,
}

/// Reduces an angle. `offset`, an integer, is added to the quadrant only: the sine of the result of offset 1 is the cosine.
#[inline(always)]
fn reduce<L: DoubleLanes>(x: L, offset: f64) -> Reduced<L> {
    let shift = L::splat(INTEGER_SHIFT + offset);
    let quadrant = x.mul_add(L::splat(std::f64::consts::FRAC_2_PI), shift);
    let n = quadrant.sub(shift);
    // Exact: both operands are multiples of 2^-53, and the magnitude of the result is below 1.
    let first = n.mul_add(L::splat(-PI_2[0]), x);
    let r = first.sub(n.mul(L::splat(PI_2[1])));
    // By T. J. Dekker's fast two-sum, `r - first` is exact, even where `first` is smaller than the product, because `first` is a
    // multiple of the product's last bit. The exact reduced argument is `r - excess`, where `excess` has the rounding errors of
    // the product and the difference. With this sign, the sine of a zero is a zero of the same sign.
    let excess = n.mul_add(L::splat(PI_2[2]), n.mul_add(L::splat(PI_2[1]), r.sub(first)));

    let square = r.mul(r);
    // sin(r - excess) = sin r - excess cos r, with 1 for cos r: |excess| is at most 2^-54.
    let sin = r.sub(square.mul(r).mul_add(horner(square, &SIN), excess));
    // cos(r - excess) = cos r + excess sin r, without the second term, which is at most 0.4 ULP.
    let cos = square.mul_add(square.mul_add(horner(square, &COS), L::splat(-0.5)), L::splat(1.0));
    Reduced { sin, cos, quadrant }
}

impl<L: DoubleLanes> Reduced<L> {
    /// The sine of `n pi/2 + r`.
    #[inline(always)]
    fn sine(self) -> L {
        let magnitude = L::select(self.quadrant.has_bit(1), self.cos, self.sin);
        L::select(self.quadrant.has_bit(2), magnitude.neg(), magnitude)
    }
}

/// `result`, except for lanes whose argument is too large or NaN: these are computed by the standard library.
#[inline(always)]
fn patch<L: DoubleLanes>(x: L, result: L, scalar: fn(f64) -> f64) -> L {
    let limit = L::splat(LIMIT);
    if L::all(x.abs().less(limit)) {
        return result;
    }
    result.zip_lanes(x, |result, x| if x.abs() < LIMIT { result } else { scalar(x) })
}

/// The sine.
pub struct Sin;

impl Function64<1> for Sin {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if L::HAS_FMA { patch(x, reduce(x, 0.0).sine(), f64::sin) } else { x.map_lanes(f64::sin) }
    }
}

/// The cosine.
pub struct Cos;

impl Function64<1> for Cos {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if L::HAS_FMA { patch(x, reduce(x, 1.0).sine(), f64::cos) } else { x.map_lanes(f64::cos) }
    }
}

/// The tangent: sin r / cos r, or -cos r / sin r in odd quadrants.
pub struct Tan;

impl Function64<1> for Tan {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::HAS_FMA {
            return x.map_lanes(f64::tan);
        }
        let Reduced { sin, cos, quadrant } = reduce(x, 0.0);
        let odd = quadrant.has_bit(1);
        let numerator = L::select(odd, cos.neg(), sin);
        let denominator = L::select(odd, sin, cos);
        patch(x, numerator.div(denominator), f64::tan)
    }
}
