//! Runtime dispatch: the one place where code for an instruction set is entered, after the CPU was checked.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use warpframe_ir::ops::{Binary, Unary};

#[cfg(target_arch = "x86_64")]
use super::avx2::{F32x8, F64x4};
#[cfg(target_arch = "x86_64")]
use super::avx512::{F32x16, F64x8};
use super::lanes::{Element, Lanes};
#[cfg(target_arch = "aarch64")]
use super::neon::{F32x4, F64x2};
use super::simd_path::SimdPath;

/// `$type` with the type of its Arrow arrays and its registers.
macro_rules! element {
    ($type:ident, $arrow:ty, $avx512:ty, $avx2:ty, $neon:ident, $divisible:expr) => {
        impl Element for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const ALMOST_HALF: Self = (0.5 as $type).next_down();
            const DIVISIBLE: (f64, f64, f64) = $divisible;
            #[cfg(target_arch = "x86_64")]
            type Avx512 = $avx512;
            #[cfg(target_arch = "x86_64")]
            type Avx2 = $avx2;
            #[cfg(target_arch = "aarch64")]
            type Neon = $neon;

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }

            fn inverse(self) -> [Self; 2] {
                let high = 1.0 / self;
                [high, (-self).mul_add(high, 1.0) / self]
            }

            #[inline(always)]
            fn from_i64(value: i64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn from_u64(value: u64) -> Self {
                value as Self
            }

            fn values(array: &ArrayRef) -> Option<&[Self]> {
                array.as_primitive_opt::<$arrow>().map(|array| array.values().as_ref())
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
element!(f64, Float64Type, F64x8, F64x4, F64x2, (1e-270, 1e300, 1e60));
element!(f32, Float32Type, F32x16, F32x8, F32x4, (1e-24, 1e30, 1e6));

/// Work that is written once for every register type.
pub trait Task<E: Element> {
    /// What it gives back.
    type Output;

    /// Does the work.
    ///
    /// # Safety
    /// The CPU must have the instruction set of `L`.
    unsafe fn run<L: Lanes<Element = E>>(self) -> Self::Output;
}

/// Does the work on a path. One that this CPU lacks is replaced by the portable one; callers check first.
pub fn run_on<E: Element, T: Task<E>>(path: SimdPath, task: T) -> T::Output {
    // SAFETY: each path's code is entered only where the CPU was found to have its instructions.
    unsafe {
        match path {
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx512 if path.is_available() => avx512::<E, T>(task),
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx2 if path.is_available() => avx2::<E, T>(task),
            #[cfg(target_arch = "aarch64")]
            SimdPath::Neon => task.run::<E::Neon>(),
            _ => task.run::<E>(),
        }
    }
}

/// # Safety
/// Only on a CPU with AVX-512F and AVX-512DQ.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn avx512<E: Element, T: Task<E>>(task: T) -> T::Output {
    // SAFETY: the caller's promise is the same.
    unsafe { task.run::<E::Avx512>() }
}

/// # Safety
/// Only on a CPU with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<E: Element, T: Task<E>>(task: T) -> T::Output {
    // SAFETY: the caller's promise is the same.
    unsafe { task.run::<E::Avx2>() }
}
