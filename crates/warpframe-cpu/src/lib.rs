//! The CPU backend: SIMD code with runtime dispatch to AVX-512, AVX2, NEON or portable Rust.
//!
//! - Formulas (`math`, `elementwise`, `ops`) are generic over a vector register type (`lanes`), which `avx512`, `avx2`,
//!   `neon` and `portable` implement. `dispatch` is the only module that enters code for an instruction set.
//! - `simd_backend` compiles programs: `instruction_selection` chooses the loop that computes each value, `register_allocation`
//!   assigns registers, and `block_code` binds the `loops` to an instruction set. `block_executor` executes the code on blocks
//!   of rows, with `block_memory`, `input_conversion` and `output_buffer`.
//! - `native` compiles groups of instructions to machine code, which replaces their loops.
//! - `kernel` has kernels on slices, without programs and Arrow arrays. `affinity` lets threads wake on CPUs of their own.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

pub mod affinity;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod block;
mod block_code;
mod block_executor;
mod block_memory;
mod class;
mod compaction;
mod dispatch;
mod elementwise;
mod input_conversion;
mod instruction_selection;
pub mod kernel;
mod lanes;
mod loops;
mod math;
mod native;
mod native_code;
mod native_execution;
#[cfg(target_arch = "aarch64")]
mod neon;
mod non_temporal;
mod ops;
mod output_buffer;
mod portable;
mod register_allocation;
mod simd_backend;
mod simd_element;
mod simd_path;
mod sink;
mod validity;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use block_code::NATIVE_COMPILE_TIME;
pub use simd_backend::Simd;
pub use simd_path::{SIMD_VARIABLE, SimdPath, SimdPathError};
