//! [`SimdElement`] for `f64` and `f32`.

use warpframe_ir::ops::{Binary, Unary};

use super::lanes::{InstructionSet, SimdElement};

/// Implements [`SimdElement`] for a type, by its register in an instruction set and its
/// [`DIVISION_BOUNDS`](SimdElement::DIVISION_BOUNDS).
macro_rules! element {
    ($type:ident, $bits:ident, $register:ident, $division_bounds:expr) => {
        impl SimdElement for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const MIN_POSITIVE: Self = <$type>::MIN_POSITIVE;
            const SUBNORMAL_SCALE: (Self, Self) = {
                let exponent = <$type>::MANTISSA_DIGITS;
                ((1u64 << exponent) as $type, exponent as $type)
            };
            const ALMOST_HALF: Self = (0.5 as $type).next_down();
            const DIVISION_BOUNDS: (f64, f64, f64) = $division_bounds;
            type Register<S: InstructionSet> = S::$register;

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }

            #[inline(always)]
            fn from_integer_bits(bits: i64) -> Self {
                Self::from_bits(bits as $bits)
            }

            #[inline(always)]
            fn to_integer_bits(self) -> i64 {
                self.to_bits().cast_signed().into()
            }

            fn reciprocal(self) -> [Self; 2] {
                let high = 1.0 / self;
                [high, (-self).mul_add(high, 1.0) / self]
            }

            #[inline(always)]
            fn unary(op: Unary, x: Self) -> Self {
                op.$type(x)
            }

            #[inline(always)]
            fn binary(op: Binary, x: Self, y: Self) -> Self {
                op.$type(x, y)
            }
        }
    };
}
element!(f64, u64, F64, (1e-270, 1e300, 1e60));
element!(f32, u32, F32, (1e-24, 1e30, 1e6));
