//! [`Lanes`] for NEON (64-bit Arm): two lanes of `f64` or four of `f32`.

use std::arch::aarch64::*;

use super::lanes::{CELL_OFFSET_F32, CELL_OFFSET_F64, DoubleLanes, Function64, Lanes, Parts};
use super::math::Table;

/// Two `f64`.
#[derive(Clone, Copy)]
pub struct F64x2(float64x2_t);

/// Four `f32`.
#[derive(Clone, Copy)]
pub struct F32x4(float32x4_t);

/// Calls intrinsics whose only precondition is the instruction set.
macro_rules! neon {
    ($call:expr) => {{
        // SAFETY: NEON is part of every 64-bit Arm target that this module is compiled for.
        #[allow(unused_unsafe, reason = "the intrinsics are safe where NEON is a base feature")]
        unsafe {
            $call
        }
    }};
}

macro_rules! neon_lanes {
    ($lanes:ident, $float:ty, $count:expr,
     $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident,
     $div:ident, $sqrt:ident, $abs:ident, $neg:ident, $floor:ident, $ceil:ident, $trunc:ident,
     $less:ident, $equal:ident, $select:ident, $bits:ty, $mask:ty, $load_mask:ident, $store_mask:ident,
     $fraction_bits:expr, $cell_offset:expr, $to_bits:ident, $from_bits:ident, $splat_bits:ident, $add_bits:ident,
     $sub_bits:ident, $and_bits:ident, $shift_bits:ident, $less_bits:ident, $to_words:expr, $to_signed:ident,
     $convert:ident) => {
        impl $lanes {
            #[inline(always)]
            fn to_array(self) -> [$float; $count] {
                let mut lanes = [0.0; $count];
                // SAFETY: the array has an element for each lane.
                unsafe { self.store(lanes.as_mut_ptr()) };
                lanes
            }

            /// Compares lane by lane in scalar code, for predicates that are rare; with two or four lanes that costs
            /// little.
            #[inline(always)]
            fn compare(self, other: Self, holds: impl Fn($float, $float) -> bool) -> $mask {
                let (one, other) = (self.to_array(), other.to_array());
                let bits = (0..$count)
                    .rev()
                    .fold(0, |bits, lane| bits << 1 | u64::from(holds(one[lane], other[lane])));
                Self::mask_from_bits(bits)
            }

            #[inline(always)]
            fn from_array(lanes: [$float; $count]) -> Self {
                // SAFETY: the array has an element for each lane.
                unsafe { Self::load(lanes.as_ptr()) }
            }
        }

        impl Lanes for $lanes {
            type Element = $float;
            type Cell = $mask;
            type Mask = $mask;
            const COUNT: usize = $count;
            const HAS_FMA: bool = true;

            #[inline(always)]
            unsafe fn load(from: *const $float) -> Self {
                // SAFETY: the caller guarantees that `from` is readable.
                Self(unsafe { $load(from) })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $float) {
                // SAFETY: the caller guarantees that `to` is writable.
                unsafe { $store(to, self.0) }
            }

            #[inline(always)]
            fn splat(value: $float) -> Self {
                Self(neon!($splat(value)))
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(neon!($add(self.0, other.0)))
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(neon!($sub(self.0, other.0)))
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                Self(neon!($mul(self.0, other.0)))
            }

            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                // vfma(a, b, c) is a + b * c.
                Self(neon!($fma(addend.0, self.0, factor.0)))
            }

            #[inline(always)]
            fn div(self, other: Self) -> Self {
                Self(neon!($div(self.0, other.0)))
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                Self(neon!($sqrt(self.0)))
            }

            #[inline(always)]
            fn abs(self) -> Self {
                Self(neon!($abs(self.0)))
            }

            #[inline(always)]
            fn neg(self) -> Self {
                Self(neon!($neg(self.0)))
            }

            #[inline(always)]
            fn floor(self) -> Self {
                Self(neon!($floor(self.0)))
            }

            #[inline(always)]
            fn ceil(self) -> Self {
                Self(neon!($ceil(self.0)))
            }

            #[inline(always)]
            fn trunc(self) -> Self {
                Self(neon!($trunc(self.0)))
            }

            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                Self(neon!($select($splat_bits((-0.0 as $float).to_bits()), sign.0, self.0)))
            }

            #[inline(always)]
            fn clamp(self, low: Self, high: Self) -> Self {
                let bounded = Self::select(self.less(low), low, self);
                Self::select(high.less(bounded), high, bounded)
            }

            #[inline(always)]
            fn less(self, other: Self) -> $mask {
                neon!($less(self.0, other.0))
            }

            #[inline(always)]
            fn equal(self, other: Self) -> $mask {
                neon!($equal(self.0, other.0))
            }

            #[inline(always)]
            fn is_nan(self) -> $mask {
                self.compare(self, |value, _| value.is_nan())
            }

            #[inline(always)]
            fn total_less(self, other: Self) -> $mask {
                self.compare(other, |one, other| one.total_cmp(&other).is_lt())
            }

            #[inline(always)]
            fn same_bits(self, other: Self) -> $mask {
                self.compare(other, |one, other| one.to_bits() == other.to_bits())
            }

            #[inline(always)]
            fn less_as_integers(self, other: Self) -> $mask {
                self.compare(other, |x, y| x.to_bits().cast_signed() < y.to_bits().cast_signed())
            }

            #[inline(always)]
            fn mask_bits(mask: $mask) -> u64 {
                let mut lanes: [$bits; $count] = [0; $count];
                // SAFETY: the array has an element for each lane.
                unsafe { $store_mask(lanes.as_mut_ptr(), mask) };
                lanes.iter().rev().fold(0, |bits, &lane| bits << 1 | u64::from(lane & 1))
            }

            #[inline(always)]
            fn all(mask: $mask) -> bool {
                neon!(vminvq_u32($to_words(mask))) != 0
            }

            #[inline(always)]
            fn mask_from_bits(bits: u64) -> $mask {
                let lanes: [$bits; $count] =
                    std::array::from_fn(|lane| if bits >> lane & 1 == 1 { <$bits>::MAX } else { 0 });
                // SAFETY: the array has an element for each lane.
                unsafe { $load_mask(lanes.as_ptr()) }
            }

            #[inline(always)]
            fn select(mask: $mask, yes: Self, no: Self) -> Self {
                Self(neon!($select(mask, yes.0, no.0)))
            }

            #[inline(always)]
            fn in_f64<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self {
                Self::convert_and_apply::<F, N>(arguments)
            }

            #[inline(always)]
            fn are_normal(self) -> bool {
                neon!({
                    let above = $sub_bits($to_bits(self.0), $splat_bits(<$float>::MIN_POSITIVE.to_bits()));
                    let limit = <$float>::INFINITY.to_bits() - <$float>::MIN_POSITIVE.to_bits();
                    let normal = $less_bits(above, $splat_bits(limit));
                    Self::all(normal)
                })
            }

            #[inline(always)]
            fn decompose(self) -> Parts<Self> {
                const FRACTION: $bits = (1 << $fraction_bits) - 1;
                const ONE: $bits = (1.0 as $float).to_bits();
                const BIAS: $bits = ONE >> $fraction_bits;
                neon!({
                    let shifted = $add_bits($to_bits(self.0), $splat_bits($cell_offset));
                    let fraction = $and_bits(shifted, $splat_bits(FRACTION));
                    let mantissa = $add_bits(fraction, $splat_bits(ONE - $cell_offset));
                    let exponent = $sub_bits($shift_bits::<$fraction_bits>(shifted), $splat_bits(BIAS));
                    Parts {
                        mantissa: Self($from_bits(mantissa)),
                        exponent: Self($convert($to_signed(exponent))),
                        cell: $and_bits($shift_bits::<{ $fraction_bits - 3 }>(shifted), $splat_bits(7)),
                    }
                })
            }

            // NEON has no gather, and with two or four lanes scalar loads are no slower.
            #[inline(always)]
            fn look_up(table: &Table<$float>, cell: $mask) -> Self {
                let mut cells: [$bits; $count] = [0; $count];
                // SAFETY: the array has an element for each lane.
                unsafe { $store_mask(cells.as_mut_ptr(), cell) };
                Self::from_array(cells.map(|cell| table.0[cell as usize % 8]))
            }
        }
    };
}

neon_lanes!(
    F64x2,
    f64,
    2,
    vld1q_f64,
    vst1q_f64,
    vdupq_n_f64,
    vaddq_f64,
    vsubq_f64,
    vmulq_f64,
    vfmaq_f64,
    vdivq_f64,
    vsqrtq_f64,
    vabsq_f64,
    vnegq_f64,
    vrndmq_f64,
    vrndpq_f64,
    vrndq_f64,
    vcltq_f64,
    vceqq_f64,
    vbslq_f64,
    u64,
    uint64x2_t,
    vld1q_u64,
    vst1q_u64,
    52,
    CELL_OFFSET_F64,
    vreinterpretq_u64_f64,
    vreinterpretq_f64_u64,
    vdupq_n_u64,
    vaddq_u64,
    vsubq_u64,
    vandq_u64,
    vshrq_n_u64,
    vcltq_u64,
    vreinterpretq_u32_u64,
    vreinterpretq_s64_u64,
    vcvtq_f64_s64
);
neon_lanes!(
    F32x4,
    f32,
    4,
    vld1q_f32,
    vst1q_f32,
    vdupq_n_f32,
    vaddq_f32,
    vsubq_f32,
    vmulq_f32,
    vfmaq_f32,
    vdivq_f32,
    vsqrtq_f32,
    vabsq_f32,
    vnegq_f32,
    vrndmq_f32,
    vrndpq_f32,
    vrndq_f32,
    vcltq_f32,
    vceqq_f32,
    vbslq_f32,
    u32,
    uint32x4_t,
    vld1q_u32,
    vst1q_u32,
    23,
    CELL_OFFSET_F32,
    vreinterpretq_u32_f32,
    vreinterpretq_f32_u32,
    vdupq_n_u32,
    vaddq_u32,
    vsubq_u32,
    vandq_u32,
    vshrq_n_u32,
    vcltq_u32,
    std::convert::identity,
    vreinterpretq_s32_u32,
    vcvtq_f32_s32
);

impl F64x2 {
    #[inline(always)]
    fn convert_and_apply<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self {
        F::apply(arguments)
    }
}

impl F32x4 {
    #[inline(always)]
    fn convert_and_apply<F: Function64<N>, const N: usize>(arguments: [Self; N]) -> Self {
        neon!({
            let low = F::apply(arguments.map(|x| F64x2(vcvt_f64_f32(vget_low_f32(x.0)))));
            let high = F::apply(arguments.map(|x| F64x2(vcvt_high_f64_f32(x.0))));
            Self(vcvt_high_f32_f64(vcvt_f32_f64(low.0), high.0))
        })
    }
}

impl DoubleLanes for F64x2 {
    #[inline(always)]
    fn add_exponent(self, shifted: Self) -> Self {
        neon!({
            let exponent = vshlq_n_u64::<52>(vreinterpretq_u64_f64(shifted.0));
            Self(vreinterpretq_f64_u64(vaddq_u64(vreinterpretq_u64_f64(self.0), exponent)))
        })
    }

    #[inline(always)]
    fn scale(self, exponent: Self) -> Self {
        self.zip_lanes(exponent, DoubleLanes::scale)
    }

    #[inline(always)]
    fn has_bit(self, bit: u64) -> uint64x2_t {
        neon!(vtstq_u64(vreinterpretq_u64_f64(self.0), vdupq_n_u64(bit)))
    }
}
