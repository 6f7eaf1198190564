//! The names of the built-in backends for the option `warpframe.backend`.

use datafusion::common::DataFusionError;

/// The CPU, or a GPU if the cost model predicts that it is faster.
pub const AUTO: &str = "auto";
/// The interpreter: one row at a time, without compilation.
pub const INTERPRETED: &str = "interpreted";
/// Machine code for the CPU, made when an expression is planned.
pub const NATIVE: &str = "native";
/// The CPU's vector instructions, by loops that are part of this program.
pub const SIMD: &str = "simd";
/// NVIDIA GPUs.
pub const CUDA: &str = "cuda";

/// The names of all built-in backends.
pub const NAMES: [&str; 5] = [AUTO, INTERPRETED, SIMD, NATIVE, CUDA];

/// The error for a name that is not one of `names`.
pub fn unknown_backend(name: &str, names: &[String]) -> DataFusionError {
    DataFusionError::Configuration(format!("there is no backend '{name}': use one of {}", names.join(", ")))
}
