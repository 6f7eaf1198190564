//! The CUDA backend: it generates CUDA C for programs, compiles it with NVRTC at run time, and evaluates columns in
//! chunks whose copies and kernels overlap.
//!
//! - `driver` is what the backend needs of CUDA's driver API, `nvidia` is NVIDIA's driver, `nvrtc` the compiler;
//! - `codegen`, `ops` and `kernel_source` make the source of kernels, `disk_cache` keeps compiled ones;
//! - `gpu` and `memory` are open devices and their memory, `chunk_pipeline` is one evaluation;
//! - `cuda_backend` is the backend, `resident` has columns that stay on a GPU, and `calibrate` measures the machine.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod calibrate;
mod calibration;
mod chunk_pipeline;
pub mod codegen;
mod cuda_backend;
mod disk_cache;
pub mod driver;
mod gpu;
mod kernel_source;
mod memory;
pub mod metrics;
mod nvidia;
mod nvrtc;
pub mod ops;
mod resident;

pub use calibrate::{calibrate, measure};
pub use calibration::Calibration;
pub use cuda_backend::{BATCH_ROWS, Cuda, CudaSettings};
pub use driver::CudaError;
pub use gpu::Gpus;
pub use kernel_source::{KernelSource, THREADS, VECTOR_BYTES};
pub use nvidia::gpus;
pub use nvrtc::Compiler;
pub use resident::Resident;
