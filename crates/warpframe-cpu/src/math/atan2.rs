//! The arc tangent of a quotient, with the quadrant of a point, in double precision.
//!
//! Method: with `t` the smaller magnitude of the coordinates divided by the larger, all angles are `n pi/2 + atan(t)` or
//! `n pi/2 - atan(t)` with `n` from 0 to 2 and the sign of `y`: `pi/2 - a` if |y| is the larger one, and `pi - a` if `x` is
//! negative. The polynomial is that of the arc tangent.

use super::super::lanes::{DoubleLanes, Function64};
use super::inverse::{PI_2, PI_2_LOW, atan_rest};

/// The angle of the point (`x`, `y`), for the arguments `y` and `x`. Lanes with an infinity are computed by
/// the standard library, and so are all lanes without FMA.
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

        // Each of the two reflections inverts the sign of t.
        let signed = smaller.copysign(x);
        let numerator = L::select(is_steep, signed.neg(), signed);
        // 1, or 1 - 1 on the right and 1 + 1 on the left.
        let n = one.sub(L::select(is_steep, zero, one).copysign(x));

        let t = numerator.div(larger);
        let rest = atan_rest(t).add(n.mul(L::splat(PI_2_LOW)));
        let result = n.mul_add(L::splat(PI_2), t).add(rest).copysign(y);

        let is_finite = larger.less(L::splat(f64::INFINITY));
        if L::all(is_finite) {
            return result;
        }
        L::select(is_finite, result, y.zip_lanes(x, f64::atan2))
    }
}
