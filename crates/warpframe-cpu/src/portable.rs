//! [`Lanes`] for any machine: one number at a time in plain Rust. Also what the other paths fall back
//! to, lane by lane, for the rare arguments they don't treat themselves.

use super::lanes::{DoubleLanes, Function64, Lanes};

macro_rules! portable_lanes {
    ($float:ty, $bits:ty, mantissa_bits: $mantissa_bits:expr, bias: $bias:expr, upper_half: $upper_half:expr) => {
        impl Lanes for $float {
            type Element = $float;
            type Cells = usize;
            type Mask = bool;
            const COUNT: usize = 1;
            const FUSED: bool = false;

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
                    // The NaN that the CPU makes: its sign matters where numbers are compared.
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
        // Two exact powers of two, so that the second multiplication rounds a subnormal result, and no
        // other does.
        let half = (exponent * 0.5).floor();
        let power_of_two = |exponent: f64| f64::from_bits(((exponent as i64 + 1023) << 52) as u64);
        self * power_of_two(half) * power_of_two(exponent - half)
    }

    #[inline(always)]
    fn has_bit(self, bit: u64) -> bool {
        self.to_bits() & bit != 0
    }
}
