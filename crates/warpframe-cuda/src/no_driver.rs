//! What a build without the feature `driver` has instead of NVIDIA's driver and NVRTC: errors that say so.

use std::path::PathBuf;
use std::sync::Arc;

use super::driver::CudaError;
use super::gpu::Gpus;

/// Fails: this build cannot use GPUs.
///
/// # Errors
/// Always.
pub fn gpus() -> Result<Arc<Gpus>, CudaError> {
    missing()
}

/// The compiler of kernels, which this build is without.
#[derive(Debug)]
pub enum Compiler {}

impl Compiler {
    /// Fails: this build has no compiler.
    ///
    /// # Errors
    /// Always.
    pub fn version() -> Result<String, CudaError> {
        missing()
    }
}

/// Does nothing: this build does not search NVRTC.
pub fn search_python_path(_: Vec<PathBuf>) {}

fn missing<T>() -> Result<T, CudaError> {
    Err(CudaError::Missing("this build is without CUDA: build it with the feature `cuda`".to_owned()))
}
