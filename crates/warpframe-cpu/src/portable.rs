//! [`Lanes`] for any CPU: `f64` and `f32` as registers of one lane. The other paths use it as a scalar fallback for
//! arguments that their vector code does not handle.

use super::lanes::{DoubleLanes, Function64, Lanes};

macro_rules! portable_lanes {
    ($float:ty, $bits:ty, mantissa_bits: $mantissa_bits:expr, bias: $bias:expr, upper_half: $upper_half:expr) => {
        impl Lanes for $float {
            type Element = $float;
            type Indices = usize;
            type Mask = bool;
            const COUNT: usize = 1;
            const HAS_FMA: bool = false;

            #[inline(always)]
            unsafe fn load(from: *const $float) -> Self {
                // SAFETY: the caller guarantees that `from` is readable.
                unsafe { from.read_unaligned() }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $float) {
                // SAFETY: the caller guarantees that `to` is writable.
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
                // Without the instruction a fused multiply-add would be a slow library call.
                self * factor + addend
            }

            #[inline(always)]
            fn div(self, other: Self) -> Self {
                self / other
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }

            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }

            #[inline(always)]
            fn neg(self) -> Self {
                -self
            }

            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                self.copysign(sign)
            }

            #[inline(always)]
            fn floor(self) -> Self {
                self.floor()
            }

            #[inline(always)]
            fn ceil(self) -> Self {
                self.ceil()
            }

            #[inline(always)]
            fn trunc(self) -> Self {
                self.trunc()
            }

            #[inline(always)]
            fn round_even(self) -> Self {
                self.round_ties_even()
            }

            #[inline(always)]
            fn clamp(self, low: Self, high: Self) -> Self {
                if self < low {
                    low
                } else if self > high {
                    high
                } else {
                    self
                }
            }

            #[inline(always)]
            fn less(self, other: Self) -> bool {
                self < other
            }

            #[inline(always)]
            fn equal(self, other: Self) -> bool {
                self == other
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                self.is_nan()
            }

            #[inline(always)]
            fn total_less(self, other: Self) -> bool {
                self.total_cmp(&other).is_lt()
            }

            #[inline(always)]
            fn same_bits(self, other: Self) -> bool {
                self.to_bits() == other.to_bits()
            }

            #[inline(always)]
            fn less_as_integers(self, other: Self) -> bool {
                self.to_bits().cast_signed() < other.to_bits().cast_signed()
            }

            #[inline(always)]
            fn mask_bits(mask: bool) -> u64 {
                u64::from(mask)
            }

            #[inline(always)]
            fn mask_from_bits(bits: u64) -> bool {
                bits & 1 == 1
            }

            #[inline(always)]
            fn select(mask: bool, yes: Self, no: Self) -> Self {
                if mask { yes } else { no }
            }

            #[inline(always)]
            fn in_f64<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self {
                F::apply(arguments.map(f64::from)) as $float
            }

            #[inline(always)]
            fn mul_sub_one(self, factor: Self) -> Self {
                // The factor has few bits, so the products of both halves with it are exact, and so are both sums.
                let upper = <$float>::from_bits(self.to_bits() & $upper_half);
                let lower = self - upper;
                (upper * factor - 1.0) + lower * factor
            }

            #[inline(always)]
            fn split(self) -> (Self, Self, usize) {
                const IMPLICIT_ONE: $bits = (1.0 as $float).to_bits();
                const MANTISSA: $bits = (1 << $mantissa_bits) - 1;
                // Subnormal numbers have no implicit leading one: scale them to normal numbers first.
                const SCALE: $float = (1u64 << ($mantissa_bits + 1)) as $float;
                let (bits, scale_exponent) = if self < <$float>::MIN_POSITIVE {
                    ((self * SCALE).to_bits(), $mantissa_bits + 1)
                } else {
                    (self.to_bits(), 0)
                };
                let exponent = (bits >> $mantissa_bits) as i32 - $bias - scale_exponent;
                let mantissa = <$float>::from_bits((bits & MANTISSA) | IMPLICIT_ONE);
                let index = (bits >> ($mantissa_bits - 4)) as usize & 15;
                (mantissa, exponent as $float, index)
            }

            #[inline(always)]
            fn look_up(table: &[$float; 16], index: usize) -> Self {
                table[index & 15]
            }

            #[inline(always)]
            fn patch_ln(self, argument: Self) -> Self {
                if argument > 0.0 && argument < <$float>::INFINITY {
                    self
                } else if argument == 0.0 {
                    <$float>::NEG_INFINITY
                } else if argument < 0.0 {
                    // 0 / 0 is the CPU's default NaN. Its sign affects comparisons in the total order.
                    (argument - argument) / (argument - argument)
                } else {
                    argument
                }
            }
        }
    };
}

portable_lanes!(f64, u64, mantissa_bits: 52, bias: 1023, upper_half: !0 << 27);
portable_lanes!(f32, u32, mantissa_bits: 23, bias: 127, upper_half: !0 << 12);

impl DoubleLanes for f64 {
    #[inline(always)]
    fn scale(self, exponent: Self) -> Self {
        // Multiply by two exact powers of two: only the second product can be subnormal, so it rounds once.
        let half = (exponent * 0.5).floor();
        let power_of_two = |exponent: f64| f64::from_bits(((exponent as i64 + 1023) << 52) as u64);
        self * power_of_two(half) * power_of_two(exponent - half)
    }

    #[inline(always)]
    fn has_bit(self, bit: u64) -> bool {
        self.to_bits() & bit != 0
    }
}
