//! The inverse trigonometric functions of one number. Everything is left to the standard library where multiply-adds
//! are not fused: the rounding errors that are carried along cannot be had there.

use super::super::lanes::{DoubleLanes, Function64};
use super::polynomial::horner;

const PI_2: f64 = std::f64::consts::FRAC_PI_2;
/// What pi/2 is more than the constant above.
const PI_2_REST: f64 = 6.123233995736766e-17;

/// `(asin(s) / s - 1) / s^2` as a polynomial of `s^2` for |s| <= 1/2: 2^-57 relative to `asin(s) / s`.
const ASIN: [f64; 13] = [
    0.16666666666666669,
    0.07499999999998433,
    0.04464285714635543,
    0.030381944138531247,
    0.02237217294214989,
    0.017352392720869973,
    0.013971212973552933,
    0.011479177415184906,
    0.01032281435018578,
    0.005457506718640358,
    0.01740087944269402,
    -0.014851887071247204,
    0.028757851367421566,
];

/// The arc sine of a magnitude up to 1, as `base + sign * (s + rest)`, with the base 0 or pi/2.
///
/// Method: up to 1/2 the polynomial; above, `asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2))`, the root with its rounding
/// error.
struct ArcSine<L: DoubleLanes> {
    is_small: L::Mask,
    s: L,
    rest: L,
}

impl<L: DoubleLanes> ArcSine<L> {
    #[inline(always)]
    fn of(magnitude: L) -> Self {
        let (half, zero) = (L::splat(0.5), L::splat(0.0));
        let is_small = magnitude.less(half);
        // Exact: 1 - x for 1/2 <= x <= 1. Negative beyond, so that the root is NaN.
        let halved = L::splat(1.0).sub(magnitude).mul(half);
        let (mut s, mut square, mut lost) = (magnitude, magnitude.mul(magnitude), zero);
        // Root and quotient cost more than all the rest.
        if L::mask_bits(is_small) != L::mask_bits(half.equal(half)) {
            let root = halved.sqrt();
            let root_lost = root.neg().mul_add(root, halved).div(root.add(root));
            let root_lost = L::select(root.equal(zero), zero, root_lost);
            s = L::select(is_small, magnitude, root);
            square = L::select(is_small, square, halved);
            lost = L::select(is_small, zero, root_lost);
        }
        let rest = square.mul(s).mul_add(horner(square, &ASIN), lost);
        Self { is_small, s, rest }
    }
}

/// The arc sine.
pub struct Asin;

impl Function64<1> for Asin {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::FUSED {
            return x.each(f64::asin);
        }
        let ArcSine { is_small, s, rest } = ArcSine::of(x.abs());
        let two = L::splat(2.0);
        let (large, low) = (L::splat(PI_2).sub(two.mul(s)), L::splat(PI_2_REST).sub(two.mul(rest)));
        // What the difference has lost: pi/2 is at least as large as 2 s.
        let lost = L::splat(PI_2).sub(large).sub(two.mul(s));
        L::select(is_small, s.add(rest), large.add(low.add(lost))).copysign(x)
    }
}

/// The arc cosine: `pi/2 - asin(x)` for small numbers, twice the arc sine of the root for large ones, and pi minus that
/// for large negative ones.
pub struct Acos;

impl Function64<1> for Acos {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::FUSED {
            return x.each(f64::acos);
        }
        let ArcSine { is_small, s, rest } = ArcSine::of(x.abs());
        let two = L::splat(2.0);
        // base - (s + rest), with a base of pi/2 or pi in two parts.
        let below = |base: L, base_rest: L, s: L, rest: L| {
            let high = base.sub(s);
            let lost = base.sub(high).sub(s);
            high.add(base_rest.sub(rest).add(lost))
        };
        let small = below(
            L::splat(PI_2),
            L::splat(PI_2_REST),
            s.copysign(x),
            L::select(x.less(L::splat(0.0)), rest.neg(), rest),
        );
        let (s, rest) = (two.mul(s), two.mul(rest));
        let negative = below(L::splat(2.0 * PI_2), L::splat(2.0 * PI_2_REST), s, rest);
        let large = L::select(x.less(L::splat(0.0)), negative, s.add(rest));
        L::select(is_small, small, large)
    }
}

/// `(atan(t) / t - 1) / t^2` as a polynomial of `t^2` for |t| <= tan(pi/8): 2^-57 relative to `atan(t) / t`.
const ATAN: [f64; 11] = [
    -0.3333333333333333,
    0.1999999999999552,
    -0.14285714284666542,
    0.11111111015256361,
    -0.09090904578123903,
    0.07692183190826087,
    -0.06664511447381948,
    0.0585814891280221,
    -0.0508544973794026,
    0.03923165829558719,
    -0.01917688711906226,
];

/// tan(pi/8) and tan(3 pi/8).
const TAN_PI_8: f64 = 0.41421356237309503;
const TAN_3PI_8: f64 = 2.414213562373095;

/// The arc tangent.
///
/// Method: `atan(x) = pi/4 + atan((x - 1) / (x + 1))` above tan(pi/8), and `pi/2 + atan(-1 / x)` above tan(3 pi/8); the
/// quotient with its rounding errors.
pub struct Atan;

impl Function64<1> for Atan {
    #[inline(always)]
    fn apply<L: DoubleLanes>([x]: [L; 1]) -> L {
        if !L::FUSED {
            return x.each(f64::atan);
        }
        let (zero, one) = (L::splat(0.0), L::splat(1.0));
        // Beyond 1e300 the result is pi/2 anyway.
        let magnitude = x.abs().clamp(zero, L::splat(1e300));
        let is_small = magnitude.less(L::splat(TAN_PI_8));
        let is_large = L::splat(TAN_3PI_8).less(magnitude);
        let choose =
            |small: L, middle: L, large: L| L::select(is_small, small, L::select(is_large, large, middle));
        let (less, more) = (magnitude.sub(one), magnitude.add(one));
        let above = choose(magnitude, less, one.neg());
        let below = choose(one, more, magnitude);
        // What the difference and the sum have lost, between 0.4 and 2.5.
        let above_lost = choose(zero, magnitude.sub(less.add(one)), zero);
        let below_lost = choose(zero, magnitude.sub(more.sub(one)), zero);
        let inverse = one.div(below);
        let t = above.mul(inverse);
        let lost = t.neg().mul_add(below, above).add(above_lost).sub(t.mul(below_lost)).mul(inverse);
        let square = t.mul(t);
        let rest = square.mul(t).mul_add(horner(square, &ATAN), lost);
        let base = choose(zero, L::splat(PI_2 / 2.0), L::splat(PI_2));
        let base_rest = choose(zero, L::splat(PI_2_REST / 2.0), L::splat(PI_2_REST));
        let high = base.add(t);
        // The base is at least as large as t, or zero.
        let high_lost = base.sub(high).add(t);
        let result = high.add(rest.add(base_rest).add(L::select(is_small, zero, high_lost)));
        result.copysign(x)
    }
}
