//! [`Lanes`] for any CPU: `f64` and `f32` as registers of one lane. The other paths use it as a scalar fallback for
//! arguments that their vector code does not handle.

use super::lanes::{CELL_OFFSET_F32, CELL_OFFSET_F64, DoubleLanes, Function64, Lanes, Parts};
use super::math::Table;

macro_rules! portable_lanes {
    ($float:ty, $bits:ty, mantissa_bits: $mantissa_bits:expr, bias: $bias:expr, $cell_offset:expr) => {
        impl Lanes for $float {
            type Element = $float;
            type Cell = usize;
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
            fn are_normal(self) -> bool {
                (<$float>::MIN_POSITIVE..<$float>::INFINITY).contains(&self)
            }

            #[inline(always)]
            fn decompose(self) -> Parts<Self> {
                const ONE: $bits = (1.0 as $float).to_bits();
                let shifted = self.to_bits().wrapping_add($cell_offset);
                Parts {
                    mantissa: <$float>::from_bits(
                        (shifted & ((1 << $mantissa_bits) - 1)) + (ONE - $cell_offset),
                    ),
                    exponent: ((shifted >> $mantissa_bits) as i32 - $bias) as $float,
                    cell: (shifted >> ($mantissa_bits - 3)) as usize % 8,
                }
            }

            #[inline(always)]
            fn look_up(table: &Table<$float>, cell: usize) -> Self {
                table.0[cell % 8]
            }
        }
    };
}

portable_lanes!(f64, u64, mantissa_bits: 52, bias: 1023, CELL_OFFSET_F64);
portable_lanes!(f32, u32, mantissa_bits: 23, bias: 127, CELL_OFFSET_F32);

impl DoubleLanes for f64 {
    #[inline(always)]
    fn add_exponent(self, shifted: Self) -> Self {
        f64::from_bits(self.to_bits().wrapping_add(shifted.to_bits() << 52))
    }

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
