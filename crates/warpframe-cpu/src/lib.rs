//! The CPU backend: vector code with runtime dispatch to AVX-512, AVX2, NEON or portable Rust.
//!
//! Formulas are written once (`math`, `elementwise`, `ops`) over an abstract register (`lanes`), with one file for each
//! instruction set; `dispatch` is the one place where code for an instruction set is entered. `simd_backend` compiles
//! programs, `block_executor` runs them, and `kernel` has the bare kernels on slices.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod block;
mod block_executor;
mod dispatch;
mod elementwise;
mod input_conversion;
pub mod kernel;
mod lanes;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod ops;
mod portable;
mod predicates;
mod register_allocation;
mod simd_backend;
mod simd_path;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use ops::{is_binary_vectorized, is_unary_vectorized};
pub use simd_backend::Simd;
pub use simd_path::{SIMD_VARIABLE, SimdPath, SimdPathError};
