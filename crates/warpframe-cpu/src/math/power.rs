//! The power function in double precision.

use super::super::lanes::{DoubleLanes, Function64};
use super::exponential::{exp_hi_lo, is_exp_normal, normal_exp};
use super::log::ln_hi_lo;
use super::normal::Normal;

/// `x^y = e^(y ln |x|)`, with the exponent as an unevaluated sum of two numbers. The result is negative if `x` is
/// negative and `y` an odd integer, and NaN if `x` is negative and `y` not an integer. Lanes with a zero, an infinity or
/// NaN are computed by the standard library, and so are all lanes without FMA.
pub struct Power;

impl Function64<2> for Power {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x, y]: [L; 2]) -> L {
        if !L::HAS_FMA {
            return x.zip_lanes(y, f64::powf);
        }
        if let Some(base) = Normal::of(x) {
            let (exponent, rest) = exponent(base, y);
            // False for an infinity or NaN.
            if is_exp_normal(exponent) {
                return normal_exp(exponent, rest);
            }
        }
        of_any(x, y)
    }
}

/// `y ln base` as a sum of two numbers.
#[inline(always)]
fn exponent<L: DoubleLanes>(base: Normal<L>, y: L) -> (L, L) {
    let (ln, ln_rest) = ln_hi_lo(base);
    let exponent = y.mul(ln);
    (exponent, y.mul_add(ln, exponent.neg()).add(y.mul(ln_rest)))
}

/// The power of any numbers.
#[inline(always)]
fn of_any<L: DoubleLanes>(x: L, y: L) -> L {
    let base = x.abs();
    let (exponent, rest) = exponent(Normal::of_any(base), y);
    // The rest of an exponent that overflows is NaN or infinite, and not needed.
    let in_range = exponent.abs().less(L::splat(800.0));
    let magnitude = exp_hi_lo(exponent, L::select(in_range, rest, L::splat(0.0)));

    let half = y.mul(L::splat(0.5));
    let is_whole = y.equal(y.floor());
    let signed = L::select(half.equal(half.floor()), magnitude, magnitude.neg());
    // 0 / 0 is the CPU's default NaN. Its sign affects comparisons in the total order.
    let zero = x.sub(x);
    let of_negative = L::select(is_whole, signed, zero.div(zero));
    let result = L::select(x.less(L::splat(0.0)), of_negative, magnitude);

    let infinity = L::splat(f64::INFINITY);
    let finite = |lanes: L| L::mask_bits(lanes.abs().less(infinity));
    let regular = finite(x) & finite(y) & L::mask_bits(L::splat(0.0).less(base));
    let regular = L::mask_from_bits(regular);
    if L::all(regular) {
        return result;
    }
    L::select(regular, result, x.zip_lanes(y, f64::powf))
}
