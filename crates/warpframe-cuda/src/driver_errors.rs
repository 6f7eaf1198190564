//! The result codes of NVIDIA's driver as errors.

use std::ffi::CStr;
use std::ptr;

use cudarc::driver::sys::{self, CUresult};

use super::driver::CudaError;

/// Converts a result of the driver. `operation` is part of the message.
pub(super) fn check(result: CUresult, operation: &str) -> Result<(), CudaError> {
    match result {
        CUresult::CUDA_SUCCESS => Ok(()),
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
            Err(CudaError::OutOfMemory(format!("out of GPU memory or page-locked memory, {operation}")))
        }
        error if is_sticky(error) => {
            Err(CudaError::DeviceLost(format!("{}, {operation}", error_text(error))))
        }
        error => Err(CudaError::Device(format!("{}, {operation}", error_text(error)))),
    }
}

/// Whether no later call for the device can succeed in this process. NVIDIA's documentation says of the errors of kernels
/// and of the hardware that the process has to be started again; a new context does not help. Numbers, because the
/// bindings name those of one version of CUDA only.
fn is_sticky(error: CUresult) -> bool {
    match error as u32 {
        // An invalid or destroyed context: another library has reset the device, and all memory is gone.
        201 | 709 => true,
        // Hardware: uncorrectable errors of the memory and of NVLink, and faults that were contained.
        214 | 220 | 226 => true,
        // Kernels: illegal address, timeout, assertion, stack error, illegal instruction, misaligned address, invalid
        // address space, invalid program counter, launch failure, leaked tensor memory.
        700 | 702 | 710 | 714..=719 | 721 => true,
        // The multi-process service has ended this process's use of the GPU; another device has failed; unknown.
        810 | 911 | 999 => true,
        _ => false,
    }
}

/// The driver's description of an error.
pub(super) fn error_text(error: CUresult) -> String {
    let mut text = ptr::null();
    // SAFETY: the pointer is valid for writing a pointer.
    match unsafe { sys::cuGetErrorString(error, &mut text) } {
        // SAFETY: the text is a static string of the driver, with a terminating zero.
        CUresult::CUDA_SUCCESS if !text.is_null() => unsafe { CStr::from_ptr(text) }.to_string_lossy().into(),
        _ => format!("{error:?}"),
    }
}
