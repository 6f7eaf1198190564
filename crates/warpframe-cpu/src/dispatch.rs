//! Runtime dispatch: the only module that enters code for an instruction set, after detecting it. See the precondition of
//! [`Lanes`].

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use warpframe_ir::ops::{Binary, Unary};

#[cfg(target_arch = "x86_64")]
use super::avx2::{F32x8, F64x4};
#[cfg(target_arch = "x86_64")]
use super::avx512::{F32x16, F64x8};
use super::lanes::{Lanes, SimdElement};
#[cfg(target_arch = "aarch64")]
use super::neon::{F32x4, F64x2};
use super::simd_path::SimdPath;

/// Implements [`SimdElement`] for a type, by its Arrow type, its register types and its
/// [`DIVISION_BOUNDS`](SimdElement::DIVISION_BOUNDS).
macro_rules! element {
    ($type:ident, $arrow:ty, $avx512:ty, $avx2:ty, $neon:ident, $division_bounds:expr) => {
        impl SimdElement for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const ALMOST_HALF: Self = (0.5 as $type).next_down();
            const DIVISION_BOUNDS: (f64, f64, f64) = $division_bounds;
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

            fn reciprocal(self) -> [Self; 2] {
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

/// Code that is generic over the register type, and compiled once for each.
pub trait Task<E: SimdElement> {
    /// The result.
    type Output;

    /// Runs the code with registers of type `L`.
    ///
    /// # Safety
    /// The CPU must have the instruction set of `L`.
    unsafe fn run<L: Lanes<Element = E>>(self) -> Self::Output;
}

/// Runs a task on a path. If this CPU does not support the path, the portable path is used; callers check it before.
pub fn run_on<E: SimdElement, T: Task<E>>(path: SimdPath, task: T) -> T::Output {
    // SAFETY: AVX-512 and AVX2 code is entered only if `is_available` has detected the instructions; NEON is part of the
    // targets on which its arm is compiled; the portable code needs none.
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
/// The CPU must have AVX-512F and AVX-512DQ.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn avx512<E: SimdElement, T: Task<E>>(task: T) -> T::Output {
    // SAFETY: the caller has the same obligation.
    unsafe { task.run::<E::Avx512>() }
}

/// # Safety
/// The CPU must have AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<E: SimdElement, T: Task<E>>(task: T) -> T::Output {
    // SAFETY: the caller has the same obligation.
    unsafe { task.run::<E::Avx2>() }
}
