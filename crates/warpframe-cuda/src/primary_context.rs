//! The primary context of a GPU, which all libraries of a process share: memory and streams of the CUDA runtime (CuPy,
//! PyTorch, cuDF) belong to it.

use std::ptr;
use std::sync::OnceLock;

use cudarc::driver::sys;

use super::driver::CudaError;
use super::driver_errors::check;

/// A reference to the primary context of a GPU, released on drop. The driver destroys the context when no library has a
/// reference to it any more.
#[derive(Debug)]
pub(super) struct PrimaryContext {
    context: sys::CUcontext,
    device: sys::CUdevice,
    /// The error after which the GPU cannot be used any more.
    lost: OnceLock<CudaError>,
}

// SAFETY: any thread may use a context while it is current for the thread, which `push` makes it.
unsafe impl Send for PrimaryContext {}
// SAFETY: as above, and the driver is thread-safe.
unsafe impl Sync for PrimaryContext {}

impl PrimaryContext {
    /// Takes a reference to the primary context of a GPU, which the driver creates if no library has one.
    ///
    /// # Errors
    /// The context cannot be created.
    pub fn retain(device: sys::CUdevice) -> Result<Self, CudaError> {
        let mut context = ptr::null_mut();
        // SAFETY: the driver is initialized, the device is valid, and the pointer is valid for writing a context.
        let retained = unsafe { sys::cuDevicePrimaryCtxRetain(&mut context, device) };
        check(retained, "getting the primary context")?;
        Ok(Self { context, device, lost: OnceLock::new() })
    }

    /// The error after which the GPU cannot be used any more, if there was one.
    pub fn lost(&self) -> Option<CudaError> {
        self.lost.get().cloned()
    }

    /// Makes the context current for the calling thread until the guard is dropped. The caller's current context is current
    /// again then.
    ///
    /// # Errors
    /// The GPU is lost, or the context cannot be made current.
    pub fn push(&self) -> Result<CurrentContext, CudaError> {
        match self.lost.get() {
            Some(lost) => Err(lost.clone()),
            None => self.push_to_free(),
        }
    }

    /// As [`push`](Self::push), also after the GPU is lost: to free what was allocated.
    pub fn push_to_free(&self) -> Result<CurrentContext, CudaError> {
        // SAFETY: the context is valid until its reference is released, by the drop of `self`.
        self.check(unsafe { sys::cuCtxPushCurrent_v2(self.context) }, "making the context current")?;
        Ok(CurrentContext(()))
    }

    /// Converts a result of a call in this context. `operation` is part of the message.
    ///
    /// # Errors
    /// The call has failed. After [`CudaError::DeviceLost`] all later calls fail with the same error.
    pub fn check(&self, result: sys::CUresult, operation: &str) -> Result<(), CudaError> {
        check(result, operation).inspect_err(|error| {
            if let CudaError::DeviceLost(_) = error {
                // The first error is kept: later ones follow from it.
                let _ = self.lost.set(error.clone());
            }
        })
    }
}

impl Drop for PrimaryContext {
    fn drop(&mut self) {
        // An error is ignored: the reference is not used any more.
        // SAFETY: `retain` has taken a reference, which is released once.
        let _ = unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.device) };
    }
}

/// A context that is current for a thread, until drop.
#[must_use]
pub(super) struct CurrentContext(());

impl Drop for CurrentContext {
    fn drop(&mut self) {
        let mut popped = ptr::null_mut();
        // An error is ignored: only a context that another library has destroyed since cannot be popped.
        // SAFETY: the pointer is valid for writing a context, and `push` has pushed one on this thread's stack.
        let _ = unsafe { sys::cuCtxPopCurrent_v2(&mut popped) };
    }
}
