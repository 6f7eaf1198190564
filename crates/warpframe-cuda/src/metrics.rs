//! The names of the metrics that evaluations on GPUs report.

use std::time::Duration;

use warpframe_ir::metrics::Metrics;

/// The number of batches that were evaluated on a GPU.
pub const BATCHES: &str = "batches";
/// The number of batches that the CPU evaluated instead, because memory was exhausted, an array had undeclared nulls, or a
/// GPU was lost.
pub const FALLBACK_BATCHES: &str = "fallback_batches";
/// The number of batches that the CPU evaluated instead because a GPU was lost.
pub const LOST_GPU_BATCHES: &str = "lost_gpu_batches";
/// Bytes copied to GPUs.
pub const H2D_BYTES: &str = "h2d_bytes";
/// Bytes copied from GPUs.
pub const D2H_BYTES: &str = "d2h_bytes";
/// The time of copies into page-locked memory.
pub const STAGE_TIME: &str = "stage_time";
/// The time of copies to GPUs. Copies and kernels overlap, so the sum of all times may exceed the elapsed time.
pub const H2D_TIME: &str = "h2d_time";
/// The execution time of kernels.
pub const KERNEL_TIME: &str = "kernel_time";
/// The time of copies from GPUs.
pub const D2H_TIME: &str = "d2h_time";
/// The time of compiling kernels that were not cached.
pub const COMPILE_TIME: &str = "compile_time";

/// The sums over the chunks of an evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub h2d_bytes: u64,
    pub d2h_bytes: u64,
    pub stage_time: Duration,
    pub h2d_time: Duration,
    pub kernel_time: Duration,
    pub d2h_time: Duration,
}

impl Counts {
    /// Adds the sums, and one batch, to metrics.
    pub fn report(&self, metrics: &Metrics) {
        metrics.add_count(BATCHES, 1);
        // Creates the counter, so that it is shown even if it is 0.
        metrics.add_count(FALLBACK_BATCHES, 0);
        metrics.add_count(H2D_BYTES, self.h2d_bytes);
        metrics.add_count(D2H_BYTES, self.d2h_bytes);
        metrics.add_time(STAGE_TIME, self.stage_time);
        metrics.add_time(H2D_TIME, self.h2d_time);
        metrics.add_time(KERNEL_TIME, self.kernel_time);
        metrics.add_time(D2H_TIME, self.d2h_time);
    }
}
