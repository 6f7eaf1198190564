//! The cube root in double precision.
//!
//! Method: `|x| = m 8^k` with `m` in [0.95, 7.7). A polynomial approximates the reciprocal root `z = m^(-1/3)`; one step of
//! Householder's iteration on `z` and one of Newton's on `y = m z^2` follow, without a division. The residual `m - y^3`
//! of the last step is computed with FMAs, so the result is correctly rounded except close to midpoints.

use warpframe_ir::ops::Unary;

use super::super::lanes::{DoubleLanes, Function64, INTEGER_SHIFT, Lanes, Parts, SimdElement};
use super::normal::Normal;
use super::polynomial::polynomial;

/// `m^(-1/3)` on [23/24, 23/12], a minimax polynomial: relative error 2^-11.9.
const RECIPROCAL_ROOT: [f64; 4] =
    [1.5639169710163414, -0.8572516036085637, 0.35093224091186676, -0.057548362652235695];

/// `2^(-1/3)` and `4^(-1/3)`.
const RECIPROCAL_ROOT_OF_2: f64 = 0.7937005259840998;
const RECIPROCAL_ROOT_OF_4: f64 = 0.6299605249474366;

/// The cube root. Scalar without FMA.
#[inline(always)]
pub fn cbrt<L: Lanes>(x: L) -> L {
    if L::HAS_FMA { L::in_f64::<Cbrt, 1>([x]) } else { x.map_lanes(|x| L::Element::unary(Unary::Cbrt, x)) }
}

struct Cbrt;

impl Function64<1> for Cbrt {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        let magnitude = x.abs();
        if let Some(normal) = Normal::of(magnitude) {
            return root(normal).copysign(x);
        }
        let zero = L::splat(0.0);
        // Zeros, infinities and NaN are their own roots.
        let finite = L::select(magnitude.less(L::splat(f64::INFINITY)), magnitude, zero);
        L::select(zero.less(finite), root(Normal::of_any(magnitude)).copysign(x), x)
    }
}

/// The cube root of positive numbers.
#[inline(always)]
fn root<L: DoubleLanes>(x: Normal<L>) -> L {
    let (one, third) = (L::splat(1.0), L::splat(1.0 / 3.0));
    let Parts { mantissa, exponent, .. } = x.number.decompose();
    let exponent = exponent.sub(x.shift);

    // k = floor(exponent / 3) is the integer nearest to (exponent - 1) / 3.
    let shift = L::splat(INTEGER_SHIFT);
    let shifted = exponent.mul_add(third, third.neg()).add(shift);
    let k = shifted.sub(shift);
    let remainder = k.mul_add(L::splat(-3.0), exponent);
    let (is_0, is_below_2) = (remainder.less(L::splat(0.5)), remainder.less(L::splat(1.5)));
    let root_of_2 = L::select(is_below_2, L::splat(RECIPROCAL_ROOT_OF_2), L::splat(RECIPROCAL_ROOT_OF_4));
    let root_of_power = L::select(is_0, one, root_of_2);
    let m = mantissa.add_exponent(remainder.add(shift));

    // z (1 - h)^(-1/3) = z (1 + h/3 + 2/9 h^2 + ...) with h = 1 - m z^3; the next term is 2^-33.
    let z = polynomial(mantissa, mantissa.mul(mantissa), &RECIPROCAL_ROOT).mul(root_of_power);
    let h = z.mul(z).mul(z).neg().mul_add(m, one);
    let z = h.mul(h.mul_add(L::splat(2.0 / 9.0), third)).mul_add(z, z);
    // y + (m - y^3) / (3 y^2), with z^2 for the reciprocal of y^2. The relative error of y is squared: 2^-63.
    let z_square = z.mul(z);
    let y = m.mul(z_square);
    let square = y.mul(y);
    let square_rest = y.mul_add(y, square.neg());
    let residual = square_rest.neg().mul_add(y, square.neg().mul_add(y, m));
    residual.mul_add(z_square.mul(third), y).add_exponent(shifted)
}
