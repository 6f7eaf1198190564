//! Which vector instructions this process uses, and the one place where their code is entered.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::thread::LocalKey;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Float32Type, Float64Type};

#[cfg(target_arch = "x86_64")]
use super::avx2::{F32x8, F64x4};
#[cfg(target_arch = "x86_64")]
use super::avx512::{F32x16, F64x8};
use super::execute::Scratch;
use super::lanes::Lanes;
use super::math::LogElement;
#[cfg(target_arch = "aarch64")]
use super::neon::{F32x4, F64x2};
use crate::program::ops::{Binary, Unary};

/// The environment variable that forces a path.
pub const SIMD_VARIABLE: &str = "WARPFRAME_SIMD";

/// A set of vector instructions that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SimdPath {
    /// x86-64 with AVX-512 (F and DQ): 512-bit registers.
    Avx512,
    /// x86-64 with AVX2 and FMA: 256-bit registers.
    Avx2,
    /// 64-bit Arm: 128-bit registers.
    Neon,
    /// Plain Rust, one number at a time.
    Portable,
}

impl SimdPath {
    /// All paths, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The paths this CPU can run, the fastest first. Never empty: [`Portable`](Self::Portable) is
    /// always among them.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|path| path.is_available()).collect()
    }

    /// Whether this CPU can run the path.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            Self::Portable => true,
            #[allow(unreachable_patterns, reason = "which paths are left depends on the target")]
            _ => false,
        }
    }

    /// The path in use: the one `WARPFRAME_SIMD` names, else the fastest available. The choice is
    /// made once per process.
    ///
    /// # Errors
    /// The variable names no path, or one that this CPU cannot run.
    pub fn active() -> Result<Self, SimdPathError> {
        static ACTIVE: OnceLock<Result<SimdPath, SimdPathError>> = OnceLock::new();
        ACTIVE.get_or_init(Self::choose).clone()
    }

    fn choose() -> Result<Self, SimdPathError> {
        let Some(named) = std::env::var_os(SIMD_VARIABLE) else {
            return Ok(Self::ALL.into_iter().find(|path| path.is_available()).unwrap_or(Self::Portable));
        };
        let path: Self = named.to_string_lossy().parse()?;
        if path.is_available() { Ok(path) } else { Err(SimdPathError::Unavailable(path)) }
    }

    /// The name used in `WARPFRAME_SIMD`, in `EXPLAIN` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }
}

impl fmt::Display for SimdPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SimdPath {
    type Err = SimdPathError;

    fn from_str(name: &str) -> Result<Self, SimdPathError> {
        Self::ALL
            .into_iter()
            .find(|path| path.name() == name)
            .ok_or_else(|| SimdPathError::Unknown(name.to_owned()))
    }
}

/// Why a SIMD path that was asked for cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimdPathError {
    /// No path has this name.
    Unknown(String),
    /// This CPU lacks the instructions.
    Unavailable(SimdPath),
}

impl fmt::Display for SimdPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = SimdPath::available().into_iter().map(SimdPath::name).collect();
        let names = names.join(", ");
        match self {
            Self::Unknown(name) => {
                write!(f, "there is no SIMD path '{name}' ({SIMD_VARIABLE}): this CPU can use {names}")
            }
            Self::Unavailable(path) => {
                write!(f, "this CPU has no {path} instructions ({SIMD_VARIABLE}): it can use {names}")
            }
        }
    }
}

impl std::error::Error for SimdPathError {}

/// A floating-point type with a register type for every path: `f64` or `f32`.
pub trait Element: LogElement + Lanes<Element = Self> + Send + Sync {
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// The largest number below 1/2.
    const ALMOST_HALF: Self;
    /// The smallest and the largest magnitude of numbers that products with the inverse of a constant can stand for
    /// quotients of, and the largest of those constants.
    const DIVISIBLE: (f64, f64, f64);
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    type Avx512: Lanes<Element = Self>;
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    type Avx2: Lanes<Element = Self>;
    #[cfg(target_arch = "aarch64")]
    #[doc(hidden)]
    type Neon: Lanes<Element = Self>;

    /// The number, rounded to this type.
    fn from_f64(value: f64) -> Self;

    /// The number in double precision.
    fn to_f64(self) -> f64;

    /// Its inverse as a sum of two numbers.
    fn inverse(self) -> [Self; 2];

    /// The integer, rounded to this type.
    fn from_i64(value: i64) -> Self;

    /// The integer, rounded to this type.
    fn from_u64(value: u64) -> Self;

    /// The values of an array of this type; none if it has another.
    fn values(array: &ArrayRef) -> Option<&[Self]>;

    #[doc(hidden)]
    fn scratch() -> &'static LocalKey<RefCell<Scratch<Self>>>;

    /// An op of one number.
    fn unary(op: Unary, x: Self) -> Self;

    /// An op of two numbers.
    fn binary(op: Binary, x: Self, y: Self) -> Self;
}

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

            fn scratch() -> &'static LocalKey<RefCell<Scratch<Self>>> {
                thread_local! {
                    static SCRATCH: RefCell<Scratch<$type>> = RefCell::default();
                }
                &SCRATCH
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
