//! The CUDA backend: generates CUDA C++ for programs, compiles it with NVRTC at run time, and evaluates columns in chunks
//! whose copies and kernels overlap.
//!
//! - `driver` is the trait over the part of the CUDA driver API that the backend uses. `nvidia` implements it, through the
//!   `primary_context` of a GPU; `driver_errors` tells which errors end the use of a GPU.
//! - `nvrtc` compiles kernels, with the library that `nvrtc_search` finds and `nvrtc_library` loads. `kernel_image` chooses
//!   the form in which the driver loads a kernel, by the versions of CUDA (`cuda_version`) of both.
//! - Without the feature `driver`, `no_driver` replaces all of these.
//! - `codegen`, `rows_loop`, `store_codegen`, `reduction_codegen`, `ops` and `kernel_source` generate the source of kernels;
//!   `disk_cache` stores compiled ones.
//! - `gpu`, `memory` and `pinned_pool` manage open devices and their memory.
//! - `chunk_pipeline` evaluates a batch: from `input_column`, by `staging`, through device memory as `layout` places it, to
//!   `chunk_results`, which are arrays (`array_results`, `number_results`) or reductions (`partial_results`, whose columns
//!   `partial_column` names).
//! - `cuda_backend` is the backend, `resident` evaluates programs on columns in device memory, `calibrate` measures the
//!   parameters of the cost model (`calibration`) by programs of its own (`calibration_programs`), and `metrics` has the
//!   names of metrics.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod array_results;
mod calibrate;
mod calibration;
mod calibration_programs;
mod chunk_pipeline;
mod chunk_results;
pub mod codegen;
mod cuda_backend;
#[cfg(feature = "driver")]
mod cuda_version;
mod disk_cache;
pub mod driver;
#[cfg(feature = "driver")]
mod driver_errors;
mod gpu;
mod input_column;
#[cfg(feature = "driver")]
mod kernel_image;
mod kernel_source;
mod layout;
mod memory;
pub mod metrics;
#[cfg(not(feature = "driver"))]
mod no_driver;
mod number_results;
#[cfg(feature = "driver")]
mod nvidia;
#[cfg(feature = "driver")]
mod nvrtc;
#[cfg(feature = "driver")]
mod nvrtc_library;
#[cfg(feature = "driver")]
mod nvrtc_search;
pub mod ops;
mod partial_column;
mod partial_results;
mod pinned_pool;
#[cfg(feature = "driver")]
mod primary_context;
mod reduction_codegen;
mod resident;
mod rows_loop;
mod staging;
mod store_codegen;

pub use calibrate::{calibrate, measure};
pub use calibration::Calibration;
pub use cuda_backend::{BATCH_ROWS, Cuda, CudaSettings};
pub use driver::CudaError;
pub use gpu::Gpus;
pub use kernel_source::{KernelSource, THREADS, VECTOR_BYTES};
#[cfg(not(feature = "driver"))]
pub use no_driver::{Compiler, gpus, search_python_path};
#[cfg(feature = "driver")]
pub use nvidia::gpus;
#[cfg(feature = "driver")]
pub use nvrtc::Compiler;
#[cfg(feature = "driver")]
pub use nvrtc_search::search_python_path;
pub use resident::Resident;
