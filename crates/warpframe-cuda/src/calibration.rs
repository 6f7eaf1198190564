//! What is known of the speed of a machine: the parameters of the cost model that chooses between CPU and GPU.

use serde::{Deserialize, Serialize};

/// What a machine takes for the parts of an evaluation. Times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Bytes per nanosecond (so also GB/s) to the GPU, from page-locked memory.
    pub h2d: f64,
    /// The same from the GPU.
    pub d2h: f64,
    /// The same into page-locked memory, on all threads.
    pub stage: f64,
    /// The same from one place on the GPU to another, read and written bytes together.
    pub device_copy: f64,
    /// The time of a call with next to no rows.
    pub latency: f64,
    /// A cheap op of a row on the GPU.
    pub gpu_cheap: f64,
    /// A costly op of a row on the GPU.
    pub gpu_costly: f64,
    /// A cheap op of a row on one of the CPU's cores.
    pub cpu_cheap: f64,
    /// A costly op of a row on one of the CPU's cores, by vector code.
    pub cpu_costly: f64,
    /// The same without vector code.
    pub cpu_scalar: f64,
}
