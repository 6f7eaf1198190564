//! [`Lanes`] for any machine: one number at a time in plain Rust. Also what the other paths fall back
//! to, lane by lane, for the rare arguments they don't treat themselves.

use super::lanes::Lanes;

macro_rules! portable_lanes {
    ($float:ty, $bits:ty, mantissa_bits: $mantissa_bits:expr, bias: $bias:expr, upper_half: $upper_half:expr) => {
        impl Lanes for $float {
            type Element = $float;
            type Cells = usize;
            const COUNT: usize = 1;

            #[inline(always)]
            unsafe fn load(from: *const $float) -> Self {
                // SAFETY: the caller vouches for `from`.
                unsafe { from.read_unaligned() }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $float) {
                // SAFETY: the caller vouches for `to`.
                unsafe { to.write_unaligned(self) }
            }

            #[inline(always)]
            fn splat(value: $float) -> Self {
                value
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self - other
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self * other
            }

            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                // A fused multiply-add without the instruction is a slow library call.
                self * factor + addend
            }

            #[inline(always)]
            fn mul_sub_one(self, factor: Self) -> Self {
                // Both halves times the short factor are exact, and so are the two sums.
                let upper = <$float>::from_bits(self.to_bits() & $upper_half);
                let lower = self - upper;
                (upper * factor - 1.0) + lower * factor
            }

            #[inline(always)]
            fn split(self) -> (Self, Self, usize) {
                const IMPLICIT_ONE: $bits = (1.0 as $float).to_bits();
                const MANTISSA: $bits = (1 << $mantissa_bits) - 1;
                // Subnormal numbers have no implicit leading one: scale them up first.
                const SCALE: $float = (1u64 << ($mantissa_bits + 1)) as $float;
                let (bits, scaled_by) = if self < <$float>::MIN_POSITIVE {
                    ((self * SCALE).to_bits(), $mantissa_bits + 1)
                } else {
                    (self.to_bits(), 0)
                };
                let exponent = (bits >> $mantissa_bits) as i32 - $bias - scaled_by;
                let mantissa = <$float>::from_bits((bits & MANTISSA) | IMPLICIT_ONE);
                let cell = (bits >> ($mantissa_bits - 4)) as usize & 15;
                (mantissa, exponent as $float, cell)
            }

            #[inline(always)]
            fn look_up(table: &[$float; 16], cell: usize) -> Self {
                table[cell & 15]
            }

            #[inline(always)]
            fn patch_ln(self, argument: Self) -> Self {
                if argument > 0.0 && argument < <$float>::INFINITY {
                    self
                } else if argument == 0.0 {
                    <$float>::NEG_INFINITY
                } else if argument < 0.0 {
                    <$float>::NAN
                } else {
                    argument
                }
            }
        }
    };
}

portable_lanes!(f64, u64, mantissa_bits: 52, bias: 1023, upper_half: !0 << 27);
portable_lanes!(f32, u32, mantissa_bits: 23, bias: 127, upper_half: !0 << 12);
