//! Which vector instructions this process uses, and the one place where their code is entered.

use std::fmt;
use std::mem::MaybeUninit;
use std::str::FromStr;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use super::avx2::{F32x8, F64x4};
#[cfg(target_arch = "x86_64")]
use super::avx512::{F32x16, F64x8};
use super::kernels::{Kernel, map};
use super::lanes::Lanes;
use super::ln::LnElement;
#[cfg(target_arch = "aarch64")]
use super::neon::{F32x4, F64x2};

/// The environment variable that forces a path.
pub const SIMD_VARIABLE: &str = "WARPFRAME_SIMD";

/// A set of vector instructions that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SimdPath {
    /// x86-64 with AVX-512F: 512-bit registers.
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
            Self::Avx512 => is_x86_feature_detected!("avx512f"),
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

/// A floating-point type with a register type for every path.
pub trait Element: LnElement + Lanes<Element = Self> + Send + Sync {
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    type Avx512: Lanes<Element = Self>;
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    type Avx2: Lanes<Element = Self>;
    #[cfg(target_arch = "aarch64")]
    #[doc(hidden)]
    type Neon: Lanes<Element = Self>;
}

impl Element for f64 {
    #[cfg(target_arch = "x86_64")]
    type Avx512 = F64x8;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = F64x4;
    #[cfg(target_arch = "aarch64")]
    type Neon = F64x2;
}

impl Element for f32 {
    #[cfg(target_arch = "x86_64")]
    type Avx512 = F32x16;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = F32x8;
    #[cfg(target_arch = "aarch64")]
    type Neon = F32x4;
}

/// Evaluates a kernel over slices on a path and initializes every output row. Lengths that differ are cut to the shortest, and a path
/// this CPU lacks is replaced by the portable one; callers check both first.
pub fn evaluate<E: Element, K: Kernel<N>, const N: usize>(
    path: SimdPath,
    inputs: [&[E]; N],
    output: &mut [MaybeUninit<E>],
) {
    let rows = inputs.iter().map(|input| input.len()).fold(output.len(), usize::min);
    let inputs = inputs.map(|input| &input[..rows]);
    let output = &mut output[..rows];
    // SAFETY: each path's code is entered only where the CPU was found to have its instructions, and
    // all slices were cut to one length.
    unsafe {
        match path {
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx512 if path.is_available() => avx512::<E::Avx512, K, N>(inputs, output),
            #[cfg(target_arch = "x86_64")]
            SimdPath::Avx2 if path.is_available() => avx2::<E::Avx2, K, N>(inputs, output),
            #[cfg(target_arch = "aarch64")]
            SimdPath::Neon => map::<E::Neon, K, N>(inputs, output),
            _ => map::<E, K, N>(inputs, output),
        }
    }
}

/// # Safety
/// As [`map`], on a CPU with AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<L: Lanes, K: Kernel<N>, const N: usize>(
    inputs: [&[L::Element]; N],
    output: &mut [MaybeUninit<L::Element>],
) {
    // SAFETY: the caller's promise is the same.
    unsafe { map::<L, K, N>(inputs, output) }
}

/// # Safety
/// As [`map`], on a CPU with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<L: Lanes, K: Kernel<N>, const N: usize>(
    inputs: [&[L::Element]; N],
    output: &mut [MaybeUninit<L::Element>],
) {
    // SAFETY: the caller's promise is the same.
    unsafe { map::<L, K, N>(inputs, output) }
}
