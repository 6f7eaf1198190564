//! The parameters of the cost model that chooses between CPU and GPU.

use serde::{Deserialize, Serialize};

/// The bandwidths and op times of a machine. Bandwidths are in bytes per nanosecond, that is, GB/s; times are in
/// nanoseconds, those of ops per row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The bandwidth of copies from page-locked memory to the GPU.
    pub h2d: f64,
    /// The bandwidth of copies from the GPU to page-locked memory.
    pub d2h: f64,
    /// The bandwidth of copies into page-locked memory, on all threads.
    pub stage: f64,
    /// The bandwidth of device memory: bytes read plus bytes written by a copy within it.
    pub device_copy: f64,
    /// The time of an evaluation of one row, from host memory to host memory.
    pub latency: f64,
    /// The time of a cheap op on the GPU.
    pub gpu_cheap: f64,
    /// The time of a costly op on the GPU.
    pub gpu_costly: f64,
    /// The time of a cheap op on one CPU core.
    pub cpu_cheap: f64,
    /// The time of a costly op on one CPU core.
    pub cpu_costly: f64,
}
