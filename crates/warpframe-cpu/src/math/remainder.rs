//! The remainder of a division whose quotient is rounded towards zero: `x - y trunc(x / y)`, exactly, with the sign of `x`.
//!
//! Method: with magnitudes `a` and `b` and `p` bits of precision, `q = a / b` is rounded to nearest, and one FMA computes
//! `r = a - n b` with `n = trunc(q)`. It does not round, because `r` is representable:
//!
//! - `a < b`: then `a / b <= 1 - 2^-p`, which is representable, so `q < 1`, `n = 0` and `r = a`.
//! - `a >= b` and `q < 2^p`: integers up to `2^p` are representable and rounding is monotonic, so `n` is the exact integer
//!   quotient, or 1 more if `q` has been rounded up to an integer, and `|r| < b`. `a` is a multiple of `b`'s unit in the
//!   last place, and so is `r`, which therefore has no more bits than `b`.
//! - `q >= 2^p`: `q` is an integer, `n = q`. Let `2^k` be its unit, `k >= 1`. `|a / b - q| <= 2^(k-1)`, so
//!   `|r| <= 2^(k-1) b`. `a >= (2^p - 1) 2^(k-1) b` is a multiple of `2^(k-1)` units of `b`, and so is `r`.
//!
//! No unit is less than the smallest subnormal number, so underflow changes nothing, also where `q` underflows (`n = 0`).
//! In the last case `r` is congruent to `a`, and smaller by a factor of `2^p`: [`Reduction`] repeats the step with it until
//! the quotient is less than `2^p`. All this holds for negative `a`, with the signs of `n` and `r` inverted. A negative
//! `r` of the last step is congruent to `r + b`, which is less than `b` and a multiple of its unit, so exact.

use warpframe_ir::ops::Binary;

use super::super::lanes::{DoubleLanes, Function64, Lanes, SimdElement};

/// `2^p` of a type.
#[inline(always)]
fn limit<L: Lanes>() -> L {
    // The largest number below 1/2 is 1/2 - 2^(-p-1).
    L::splat(L::Element::from_f64(0.5 / (0.5 - L::Element::ALMOST_HALF.to_f64())))
}

/// One step of the method: `r - trunc(quotient) divisor`.
#[inline(always)]
fn step<L: Lanes>(r: L, divisor: L, quotient: L) -> L {
    quotient.trunc().neg().mul_add(divisor, r)
}

/// The remainder from the result `r` of the last step. `r` is NaN if the divisor is infinite.
#[inline(always)]
fn finish<L: Lanes>(x: L, divisor: L, r: L) -> L {
    let dividend = x.abs();
    let r = L::select(r.less(L::splat(L::Element::ZERO)), r.add(divisor), r);
    L::select(dividend.less(divisor), dividend, r).copysign(x)
}

/// The remainder; NaN if `x` is infinite, `y` is zero, or either is NaN. Scalar without FMA.
#[inline(always)]
pub fn remainder<L: Lanes>(x: L, y: L) -> L {
    if !L::HAS_FMA {
        return x.zip_lanes(y, |x, y| L::Element::binary(Binary::Remainder, x, y));
    }
    let (dividend, divisor) = (x.abs(), y.abs());
    let quotient = dividend.div(divisor);
    if !L::all(quotient.less(limit())) {
        return L::in_f64::<Reduction, 2>([x, y]);
    }
    finish(x, divisor, step(dividend, divisor, quotient))
}

/// 2^280. Lanes with a quotient of at least this are computed by scalar code. Those of two `f32` are less.
const MAX_QUOTIENT: f64 = f64::from_bits((1023 + 280) << 52);

/// The remainder for any quotient. It is computed in double precision for both types: a remainder of two `f32` is an
/// `f32`.
struct Reduction;

impl Function64<2> for Reduction {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x, y]: [L; 2]) -> L {
        let (zero, infinity) = (L::splat(0.0), L::splat(f64::INFINITY));
        let (dividend, divisor) = (x.abs(), y.abs());
        let quotient = dividend.div(divisor);
        let mut quotient = L::select(quotient.less(L::splat(MAX_QUOTIENT)), quotient, infinity);
        let mut r = dividend;
        // The loop ends, because finite quotients decrease, and infinite ones become NaN. In lanes with a small quotient,
        // further ones are less than 1 and do not change `r`.
        let regular = loop {
            r = step(r, divisor, quotient);
            let magnitude = quotient.abs();
            let is_small = L::mask_bits(magnitude.less(limit()));
            if is_small == L::mask_bits(magnitude.less(infinity)) {
                break is_small;
            }
            quotient = r.div(divisor);
        };
        // The NaN of an argument, else the CPU's default NaN. Its sign affects comparisons in the total order.
        let product = x.mul(y);
        let undefined = product.div(product);
        let result = L::select(L::mask_from_bits(regular), finish(x, divisor, r), undefined);
        let is_defined = L::mask_bits(zero.less(divisor)) & L::mask_bits(dividend.less(infinity));
        let remaining = is_defined & !regular;
        if remaining == 0 {
            return result;
        }
        let remaining = L::mask_from_bits(remaining);
        // A division by infinity takes little time.
        let exact = x.zip_lanes(L::select(remaining, y, infinity), |x, y| x % y);
        L::select(remaining, exact, result)
    }
}
