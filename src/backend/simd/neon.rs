//! [`Lanes`] for NEON (64-bit Arm): two `f64` or four `f32`.

use std::arch::aarch64::*;

use super::lanes::Lanes;

/// Two `f64`.
#[derive(Clone, Copy)]
pub struct F64x2(float64x2_t);

/// Four `f32`.
#[derive(Clone, Copy)]
pub struct F32x4(float32x4_t);

/// Calls an intrinsic whose only requirement is the instruction set.
macro_rules! neon {
    ($call:expr) => {{
        // SAFETY: NEON is part of every 64-bit Arm target this file is compiled for.
        #[allow(unused_unsafe, reason = "the intrinsics are safe where NEON is a base feature")]
        unsafe {
            $call
        }
    }};
}

macro_rules! neon_lanes {
    ($lanes:ident, $float:ty, $count:expr,
     $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident) => {
        impl $lanes {
            #[inline(always)]
            fn to_array(self) -> [$float; $count] {
                let mut lanes = [0.0; $count];
                // SAFETY: the array has room for all lanes.
                unsafe { self.store(lanes.as_mut_ptr()) };
                lanes
            }

            #[inline(always)]
            fn from_array(lanes: [$float; $count]) -> Self {
                // SAFETY: the array holds all lanes.
                unsafe { Self::load(lanes.as_ptr()) }
            }
        }

        impl Lanes for $lanes {
            type Element = $float;
            type Cells = [usize; $count];
            const COUNT: usize = $count;

            #[inline(always)]
            unsafe fn load(from: *const $float) -> Self {
                // SAFETY: the caller vouches for `from`.
                Self(unsafe { $load(from) })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $float) {
                // SAFETY: the caller vouches for `to`.
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
                // vfma adds the product of its second and third argument to the first.
                Self(neon!($fma(addend.0, self.0, factor.0)))
            }

            #[inline(always)]
            fn mul_sub_one(self, factor: Self) -> Self {
                self.mul_add(factor, Self::splat(-1.0))
            }

            // With two or four lanes and no gather, taking numbers apart one by one costs no more.
            #[inline(always)]
            fn split(self) -> (Self, Self, [usize; $count]) {
                let parts = self.to_array().map(Lanes::split);
                (
                    Self::from_array(parts.map(|(mantissa, _, _)| mantissa)),
                    Self::from_array(parts.map(|(_, exponent, _)| exponent)),
                    parts.map(|(_, _, cell)| cell),
                )
            }

            #[inline(always)]
            fn look_up(table: &[$float; 16], cells: [usize; $count]) -> Self {
                Self::from_array(cells.map(|cell| table[cell & 15]))
            }

            #[inline(always)]
            fn patch_ln(self, argument: Self) -> Self {
                let (mut results, arguments) = (self.to_array(), argument.to_array());
                for (result, argument) in results.iter_mut().zip(arguments) {
                    *result = result.patch_ln(argument);
                }
                Self::from_array(results)
            }
        }
    };
}

neon_lanes!(F64x2, f64, 2, vld1q_f64, vst1q_f64, vdupq_n_f64, vaddq_f64, vsubq_f64, vmulq_f64, vfmaq_f64);
neon_lanes!(F32x4, f32, 4, vld1q_f32, vst1q_f32, vdupq_n_f32, vaddq_f32, vsubq_f32, vmulq_f32, vfmaq_f32);
