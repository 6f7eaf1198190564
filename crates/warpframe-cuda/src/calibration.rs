//! The parameters of the cost model that chooses between CPU and GPU.

use serde::{Deserialize, Serialize};

/// The version of [`Calibration`] as it is stored: files of other versions are not read.
pub(super) const FORMAT: u32 = 2;

/// The bandwidths and op times of a machine. Bandwidths are in bytes per nanosecond, that is, GB/s; times are in
/// nanoseconds, those of ops per row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The bandwidth of copies from page-locked memory to the GPU, while nothing is copied from it.
    pub h2d: f64,
    /// The bandwidth of copies from the GPU to page-locked memory, while nothing is copied to it.
    pub d2h: f64,
    /// The bandwidth of both directions together, while as many bytes are copied to the GPU as from it.
    pub two_way: f64,
    /// The bandwidth of copies into page-locked memory, on all threads.
    pub stage: f64,
    /// The bandwidth of device memory: bytes read plus bytes written by a copy within it.
    pub device_copy: f64,
    /// The bandwidth of host memory, which all CPU threads share: bytes read plus bytes written by a copy on all threads.
    pub host_copy: f64,
    /// The time of an evaluation of one row, from host memory to host memory.
    pub latency: f64,
    /// The time of a cheap op of `f64` on the GPU.
    pub gpu_cheap: f64,
    /// The time of a costly op of `f64` on the GPU.
    pub gpu_costly: f64,
    /// The time of a cheap op of `f32` on the GPU.
    pub gpu_cheap_f32: f64,
    /// The time of a costly op of `f32` on the GPU.
    pub gpu_costly_f32: f64,
    /// The time of a cheap op of `f64` on one CPU core.
    pub cpu_cheap: f64,
    /// The time of a costly op of `f64` on one CPU core.
    pub cpu_costly: f64,
    /// The time of a cheap op of `f32` on one CPU core.
    pub cpu_cheap_f32: f64,
    /// The time of a costly op of `f32` on one CPU core.
    pub cpu_costly_f32: f64,
}
