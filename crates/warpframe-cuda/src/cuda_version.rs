//! Versions of CUDA, of the driver and of NVRTC, and what a driver of a version understands.

use std::ffi::c_int;
use std::fmt;

use cudarc::driver::sys::{self, CUresult};

/// A version of CUDA. The driver's is the latest one that it supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CudaVersion {
    pub major: u32,
    pub minor: u32,
}

impl CudaVersion {
    /// The version of this machine's driver. `None` if there is no driver, or if it does not say.
    pub fn of_driver() -> Option<Self> {
        // The bindings panic if the library cannot be loaded, so this is checked before any call.
        // SAFETY: loads the library, whose initialization has no effects outside of it.
        if !unsafe { sys::is_culib_present() } {
            return None;
        }
        let mut version: c_int = 0;
        // SAFETY: the pointer is valid for writing an integer. The function needs no initialization of the driver.
        match unsafe { sys::cuDriverGetVersion(&mut version) } {
            CUresult::CUDA_SUCCESS => Some(Self::from_encoded(version.unsigned_abs())),
            _ => None,
        }
    }

    /// Decodes the encoding of `cuDriverGetVersion`: 12090 is 12.9.
    fn from_encoded(version: u32) -> Self {
        Self { major: version / 1000, minor: version % 1000 / 10 }
    }

    /// The latest version of PTX that a driver of this version compiles, as major and minor version.
    pub fn ptx_version(self) -> (u32, u32) {
        match (self.major, self.minor) {
            (..12, _) => (7, 8),
            // CUDA 12.6 has the PTX of 12.5; from then on the minor versions differ by one.
            (12, minor @ ..=5) => (8, minor),
            (12, minor) => (8, minor - 1),
            (major, minor) => (major - 4, minor),
        }
    }
}

impl fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
