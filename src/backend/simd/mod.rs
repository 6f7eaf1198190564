//! Vector code for the CPU: formulas written once (`ln`, `kernels`) over an abstract register
//! (`lanes`), one file per instruction set, and run-time dispatch in one place (`dispatch`).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dispatch;
mod kernels;
mod lanes;
mod ln;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

pub use dispatch::{Element, SIMD_VARIABLE, SimdPath, SimdPathError, evaluate};
pub use kernels::{Kernel, Ln, Log3, Product};
