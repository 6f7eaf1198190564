//! The metrics that evaluations on GPUs report, by name.

use std::time::Duration;

use warpframe_ir::metrics::Metrics;

/// Batches that GPUs have evaluated.
pub const BATCHES: &str = "batches";
/// Batches that the CPU has evaluated instead, as GPU memory was short or a column had undeclared nulls.
pub const FALLBACK_BATCHES: &str = "fallback_batches";
/// Bytes copied to GPUs.
pub const H2D_BYTES: &str = "h2d_bytes";
/// Bytes copied from GPUs.
pub const D2H_BYTES: &str = "d2h_bytes";
/// Time of copying columns into page-locked memory.
pub const STAGE_TIME: &str = "stage_time";
/// Time of copies to GPUs. Copies and kernels overlap, so the times add up to more than the elapsed time.
pub const H2D_TIME: &str = "h2d_time";
/// Time of kernels.
pub const KERNEL_TIME: &str = "kernel_time";
/// Time of copies from GPUs.
pub const D2H_TIME: &str = "d2h_time";
/// Time of compiling kernels that were in no cache.
pub const COMPILE_TIME: &str = "compile_time";

/// What the chunks of one evaluation add up.
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
    /// Adds a finished batch to metrics.
    pub fn report(&self, metrics: &Metrics) {
        metrics.add_count(BATCHES, 1);
        // Shown also where it is 0.
        metrics.add_count(FALLBACK_BATCHES, 0);
        metrics.add_count(H2D_BYTES, self.h2d_bytes);
        metrics.add_count(D2H_BYTES, self.d2h_bytes);
        metrics.add_time(STAGE_TIME, self.stage_time);
        metrics.add_time(H2D_TIME, self.h2d_time);
        metrics.add_time(KERNEL_TIME, self.kernel_time);
        metrics.add_time(D2H_TIME, self.d2h_time);
    }
}
