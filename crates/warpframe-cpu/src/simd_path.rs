//! SIMD paths: the instruction sets that vector code is compiled for, their detection, and the choice of this process.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// The environment variable that selects a path by its name.
pub const SIMD_VARIABLE: &str = "WARPFRAME_SIMD";

/// An instruction set that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SimdPath {
    /// x86-64 with AVX-512 (F and DQ): 512-bit registers.
    Avx512,
    /// x86-64 with AVX2 and FMA: 256-bit registers.
    Avx2,
    /// 64-bit Arm: 128-bit registers.
    Neon,
    /// Portable Rust code, one number at a time.
    Portable,
}

impl SimdPath {
    /// All paths, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The paths that this CPU supports, the fastest first. [`Portable`](Self::Portable) is always among them.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|path| path.is_available()).collect()
    }

    /// Whether this CPU supports the path.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            Self::Portable => true,
            #[allow(unreachable_patterns, reason = "which paths are left depends on the target")]
            _ => false,
        }
    }

    /// The path of this process: the one that `WARPFRAME_SIMD` names, else the fastest available one. It is chosen at the
    /// first call.
    ///
    /// # Errors
    /// The variable does not name a path, or names one that this CPU does not support.
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

    /// The name in `WARPFRAME_SIMD`, `EXPLAIN` and reports.
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

/// Why a requested SIMD path cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimdPathError {
    /// There is no path of this name.
    Unknown(String),
    /// This CPU does not support the path.
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
