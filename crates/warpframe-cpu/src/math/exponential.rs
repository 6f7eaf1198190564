//! The exponential function.
//!
//! Method: argument reduction `x = n ln 2 + r` with an integer `n` and |r| <= ln(2) / 2, where `ln 2` is a sum of two numbers, of
//! which the product of the first with `n` is exact, and a polynomial for `e^r`. The rounding error of `r` is compensated.

use super::super::lanes::{DoubleLanes, Function64, INTEGER_SHIFT};
use super::polynomial::polynomial;

const LN2_HIGH: f64 = 0.6931471805598903;
const LN2_LOW: f64 = 5.497923018708371e-14;

/// `e^x` is a positive normal number for magnitudes of `x` below this limit.
const LIMIT: f64 = 708.0;

/// `(e^r - 1 - r) / r^2` for |r| <= ln(2) / 2, a minimax polynomial: error 2^-57 relative to `e^r`.
const EXP: [f64; 10] = [
    0.5000000000000011,
    0.16666666666666413,
    0.041666666666530267,
    0.008333333333494338,
    0.0013888888943598074,
    0.00019841269506770684,
    2.4801493135751e-05,
    2.75575862741083e-06,
    2.7630234087896945e-07,
    2.5000069975457447e-08,
];

/// A reduced argument: `x = n ln 2 + r + rest`.
#[derive(Clone, Copy)]
pub(super) struct Reduced<L> {
    /// The integer nearest to `x / ln 2`.
    pub n: L,
    /// `n` plus [`INTEGER_SHIFT`].
    pub shifted: L,
    /// A number in [-ln(2) / 2, ln(2) / 2].
    pub r: L,
    /// The rounding error of `r`.
    pub rest: L,
}

impl<L: DoubleLanes> Reduced<L> {
    /// Reduces numbers of magnitudes up to 750.
    #[inline(always)]
    pub fn of(x: L) -> Self {
        let (n, shifted) = nearest_integer(x);
        let high = n.mul_add(L::splat(-LN2_HIGH), x);
        let r = n.mul_add(L::splat(-LN2_LOW), high);
        let rest = n.mul_add(L::splat(-LN2_LOW), high.sub(r));
        Self { n, shifted, r, rest }
    }

    /// Reduces `x + tail`, for a `tail` that is small compared with `x` or with 1.
    #[inline(always)]
    fn of_sum(x: L, tail: L) -> Self {
        let (n, shifted) = nearest_integer(x);
        let high = n.mul_add(L::splat(-LN2_HIGH), x);
        let low = n.mul_add(L::splat(-LN2_LOW), tail);
        let r = high.add(low);
        let rest = high.sub(r).add(low);
        Self { n, shifted, r, rest }
    }

    /// `e^(r + rest) - 1 - r`
    #[inline(always)]
    pub fn higher_order(self) -> L {
        let square = self.r.mul(self.r);
        square.mul_add(polynomial(self.r, square, &EXP), self.rest)
    }

    /// `e^(r + rest)`
    #[inline(always)]
    fn power(self) -> L {
        L::splat(1.0).add(self.r.add(self.higher_order()))
    }
}

/// The integer nearest to `x / ln 2`, and its sum with [`INTEGER_SHIFT`].
#[inline(always)]
fn nearest_integer<L: DoubleLanes>(x: L) -> (L, L) {
    let shift = L::splat(INTEGER_SHIFT);
    let shifted = x.mul_add(L::splat(std::f64::consts::LOG2_E), shift);
    (shifted.sub(shift), shifted)
}

/// Whether `e^x` is a positive normal number in all lanes.
#[inline(always)]
pub fn is_exp_normal<L: DoubleLanes>(x: L) -> bool {
    L::all(x.abs().less(L::splat(LIMIT)))
}

/// `e^(x + tail)`, if that is a positive normal number, for a `tail` that is small compared with `x` or with 1.
#[inline(always)]
pub fn normal_exp<L: DoubleLanes>(x: L, tail: L) -> L {
    let reduced = Reduced::of_sum(x, tail);
    reduced.power().add_exponent(reduced.shifted)
}

/// `e^(x + tail)` for a `tail` that is small compared with `x` or with 1.
#[inline(always)]
pub fn exp_hi_lo<L: DoubleLanes>(x: L, tail: L) -> L {
    let reduced = Reduced::of_sum(clamp(x), tail);
    reduced.power().scale(reduced.n)
}

/// Outside of these bounds `e^x` is 0 or infinite in any case.
#[inline(always)]
fn clamp<L: DoubleLanes>(x: L) -> L {
    x.clamp(L::splat(-750.0), L::splat(750.0))
}

/// `e^x`
pub struct Exp;

impl Function64<1> for Exp {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if is_exp_normal(x) {
            let reduced = Reduced::of(x);
            return reduced.power().add_exponent(reduced.shifted);
        }
        let reduced = Reduced::of(clamp(x));
        reduced.power().scale(reduced.n)
    }
}
