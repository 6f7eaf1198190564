//! The arc tangent of a quotient, with the quadrant of a point, in double precision.
//!
//! Method: with the smaller magnitude of the coordinates divided by the larger, all angles are `n pi/4 + atan(t)` with `n`
//! from 0 to 4 and |t| <= tan(pi/8), with the sign of `y`: `atan(s / l) = pi/4 + atan((s - l) / (s + l))` above tan(pi/8),
//! `pi/2 - a` if |y| is the larger one, and `pi - a` if `x` is negative. The polynomial is that of the arc tangent, and
//! the rounding errors of the quotient are compensated.

use super::super::lanes::{DoubleLanes, Function64};
use super::inverse::{ATAN, PI_2, PI_2_LOW, TAN_PI_8};
use super::polynomial::polynomial;

/// The range of the larger magnitude, if it isn't zero. It keeps sums, reciprocals and remainders from overflowing and
/// underflowing.
const MIN_LARGER: f64 = 1e-270;
const MAX_LARGER: f64 = 1e300;

/// The angle of the point (`x`, `y`), for the arguments `y` and `x`. Lanes with an infinity, or of extreme magnitudes,
/// are computed by the standard library, and so are all lanes without FMA.
pub struct Atan2;

impl Function64<2> for Atan2 {
    #[inline(always)]
    fn apply<L: DoubleLanes>([y, x]: [L; 2]) -> L {
        if !L::HAS_FMA {
            return y.zip_lanes(x, f64::atan2);
        }
        let (zero, one) = (L::splat(0.0), L::splat(1.0));
        let (height, width) = (y.abs(), x.abs());
        let is_steep = width.less(height);
        let smaller = L::select(is_steep, width, height);
        let larger = L::select(is_steep, height, width);
        // The angles of 0/0 are those of 0/1.
        let larger = L::select(larger.equal(zero), one, larger);

        let is_middle = larger.mul(L::splat(TAN_PI_8)).less(smaller);
        let (difference, sum) = (smaller.sub(larger), smaller.add(larger));
        let numerator = L::select(is_middle, difference, smaller);
        let denominator = L::select(is_middle, sum, larger);
        // The rounding errors of the difference and the sum, by fast two-sum.
        let numerator_error = L::select(is_middle, smaller.sub(difference.add(larger)), zero);
        let denominator_error = L::select(is_middle, smaller.sub(sum.sub(larger)), zero);

        // Each of the two reflections inverts the sign of t.
        let is_left = x.has_bit(1 << 63);
        let sign = L::select(is_steep, one.neg(), one);
        let sign = L::select(is_left, sign.neg(), sign);
        let n = L::select(is_middle, one, zero);
        let n = L::select(is_steep, L::splat(2.0).sub(n), n);
        let n = L::select(is_left, L::splat(4.0).sub(n), n);

        let numerator = numerator.mul(sign);
        let reciprocal = one.div(denominator);
        let t = numerator.mul(reciprocal);
        let t_remainder = t.neg().mul_add(denominator, numerator);
        let t_error = denominator_error.neg().mul_add(t, numerator_error.mul_add(sign, t_remainder));
        let square = t.mul(t);
        let rest =
            square.mul(t).mul_add(polynomial(square, square.mul(square), &ATAN), t_error.mul(reciprocal));

        let base = n.mul(L::splat(PI_2 / 2.0));
        let base_error = n.mul_add(L::splat(PI_2 / 2.0), base.neg());
        let base_low = n.mul_add(L::splat(PI_2_LOW / 2.0), base_error);
        let high = base.add(t);
        // By fast two-sum: the base is at least as large as t, or zero.
        let high_error = base.sub(high).add(t);
        let result = high.add(rest.add(base_low).add(high_error)).copysign(y);

        let in_range = larger.clamp(L::splat(MIN_LARGER), L::splat(MAX_LARGER)).equal(larger);
        if L::all(in_range) {
            return result;
        }
        L::select(in_range, result, y.zip_lanes(x, f64::atan2))
    }
}
