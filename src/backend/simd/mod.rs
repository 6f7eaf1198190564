//! Vector code for the CPU: formulas written once (`math`, `kernels`) over an abstract register
//! (`lanes`), the loop of programs (`execute`), one file per instruction set, and run-time dispatch in one place (`dispatch`).

mod arguments;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dispatch;
mod execute;
mod kernels;
mod lanes;
pub(crate) mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod truths;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use dispatch::{Element, SIMD_VARIABLE, SimdPath, SimdPathError, Task, run_on};
pub(crate) use execute::Execution;
pub use kernels::{Kernel, Ln, Log3, Product, evaluate};
pub(crate) use lanes::Lanes;
