//! The names of the backends that every session has, for the option `warpframe.backend`.

use datafusion::common::DataFusionError;

/// The CPU, or a GPU where it is faster by the cost model.
pub const AUTO: &str = "auto";
/// One row at a time, without compilation.
pub const INTERPRETED: &str = "interpreted";
/// The CPU's vector instructions.
pub const SIMD: &str = "simd";
/// NVIDIA GPUs.
pub const CUDA: &str = "cuda";

/// All of them.
pub const NAMES: [&str; 4] = [AUTO, INTERPRETED, SIMD, CUDA];

/// The error for a name that is not among the known ones.
pub fn unknown_backend(name: &str, names: &[String]) -> DataFusionError {
    DataFusionError::Configuration(format!("there is no backend '{name}': use one of {}", names.join(", ")))
}
