//! The power function of two numbers in double precision.

use super::super::lanes::{DoubleLanes, Function64};
use super::exponential::exp_hi_lo;
use super::log::ln_hi_lo;

/// `x^y = e^(y ln |x|)`, the exponent as a sum of two numbers; negative where `x` is negative and `y` an odd
/// integer, NaN where `x` is negative and `y` no integer. Lanes with a zero, an infinity or NaN are done one
/// by one with the standard library, and so is everything where multiply-adds are not fused.
pub struct Power;

impl Function64<2> for Power {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x, y]: [L; 2]) -> L {
        if !L::FUSED {
            return x.each_of(y, f64::powf);
        }
        let base = x.abs();
        let (ln, ln_rest) = ln_hi_lo(base);
        let exponent = y.mul(ln);
        let rest = y.mul_add(ln, exponent.neg()).add(y.mul(ln_rest));
        // Where the exponent overflows the rest is none.
        let in_range = exponent.abs().less(L::splat(800.0));
        let magnitude = exp_hi_lo(exponent, L::select(in_range, rest, L::splat(0.0)));

        let mut result = magnitude;
        let negative = x.less(L::splat(0.0));
        if L::mask_bits(negative) != 0 {
            let half = y.mul(L::splat(0.5));
            let whole = y.equal(y.floor());
            let signed = L::select(half.equal(half.floor()), magnitude, magnitude.neg());
            // The NaN that the CPU makes: its sign matters where numbers are compared.
            let nothing = x.sub(x);
            let of_negative = L::select(whole, signed, nothing.div(nothing));
            result = L::select(negative, of_negative, magnitude);
        }

        let infinity = L::splat(f64::INFINITY);
        let ordinary = |lanes: L| L::mask_bits(lanes.abs().less(infinity));
        let nonzero = L::mask_bits(L::splat(0.0).less(base));
        let all = L::mask_bits(infinity.equal(infinity));
        let usual = ordinary(x) & ordinary(y) & nonzero;
        if usual == all {
            return result;
        }
        L::select(L::mask_from_bits(usual), result, x.each_of(y, f64::powf))
    }
}
