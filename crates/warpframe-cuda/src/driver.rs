//! The part of the CUDA driver API that the backend uses, as traits. `nvidia` implements them with NVIDIA's driver; tests
//! implement them with a driver that runs kernels on the CPU and injects failures.

use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use warpframe_ir::error::Error;

use super::kernel_source::KernelSource;

/// A driver and the GPUs of this machine.
pub trait Driver: fmt::Debug + Send + Sync {
    /// The latest version of CUDA that it supports, such as `12.9`.
    fn version(&self) -> String;

    /// The name, version and file of the run-time compiler, such as `NVRTC 12.9 (/usr/local/cuda/lib64/libnvrtc.so.12)`.
    ///
    /// # Errors
    /// There is none; the message has what was tried.
    fn compiler(&self) -> Result<String, CudaError>;

    /// Whether the GPUs are hardware, so that a calibration can be stored for later processes.
    fn is_real(&self) -> bool;

    /// The usable GPUs, at least one.
    fn devices(&self) -> &[DeviceProperties];

    /// Opens a GPU, by its position in [`devices`](Self::devices): gets its primary context, which the process shares with
    /// other libraries.
    ///
    /// # Errors
    /// The GPU cannot be opened.
    fn open(&self, device: usize) -> Result<Arc<dyn Device>, CudaError>;
}

/// The properties of a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceProperties {
    /// The name.
    pub name: String,
    /// The size of its memory in bytes.
    pub memory_bytes: u64,
    /// The compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// The number of streaming multiprocessors.
    pub multiprocessors: u32,
}

/// An address in device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceAddress(pub u64);

/// The handle of a stream. Operations in a stream execute in the order in which they were enqueued; operations in
/// different streams may overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream(pub u64);

/// The handle of an event. It is recorded in a stream, and has the time at which the operations before it completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event(pub u64);

/// The handles of a loaded kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// The handle of the module.
    pub module: u64,
    /// The handle of the function.
    pub function: u64,
    /// The compile time; zero if the compiled kernel was cached.
    pub compile_time: Duration,
}

/// An open GPU. It may be used by any thread, and leaves the CUDA context that is current for the thread as it was.
///
/// After an error of the kind [`CudaError::DeviceLost`] all later calls fail with the same error, except those that free and
/// destroy.
///
/// Functions with addresses and handles as parameters are unsafe. All of them require that these were returned by this
/// device and were not freed or destroyed. Memory that an operation in a stream reads or writes must stay allocated
/// until the operation has completed: until [`wait`](Self::wait) for an event that was recorded after it, or
/// [`synchronize`](Self::synchronize), has returned.
pub trait Device: fmt::Debug + Send + Sync {
    /// The error after which this process cannot use the GPU any more, [`CudaError::DeviceLost`], if there was one.
    fn lost(&self) -> Option<CudaError>;

    /// The properties of the GPU.
    fn properties(&self) -> &DeviceProperties;

    /// Compiles a kernel for this GPU, unless it is cached, and loads it.
    ///
    /// # Errors
    /// There is no compiler, the source is not valid, or the driver cannot load the compiled kernel.
    fn load(&self, kernel: &KernelSource) -> Result<Loaded, CudaError>;

    /// Unloads a kernel.
    ///
    /// # Safety
    /// It was loaded by [`load`](Self::load), and no launch of it is pending in a stream.
    unsafe fn unload(&self, kernel: Loaded);

    /// Allocates device memory, aligned to 256 bytes.
    ///
    /// # Errors
    /// There is not enough free memory.
    fn allocate(&self, bytes: usize) -> Result<DeviceAddress, CudaError>;

    /// Frees device memory.
    ///
    /// # Safety
    /// It was allocated by [`allocate`](Self::allocate), and no operation that uses it is pending in a stream.
    unsafe fn free(&self, address: DeviceAddress);

    /// Allocates page-locked host memory, aligned to 256 bytes, which all GPUs access directly.
    ///
    /// # Errors
    /// There is not enough memory that can be page-locked.
    fn allocate_pinned(&self, bytes: usize) -> Result<NonNull<u8>, CudaError>;

    /// Frees page-locked host memory.
    ///
    /// # Safety
    /// It was allocated by [`allocate_pinned`](Self::allocate_pinned), and no operation that uses it is pending in a
    /// stream.
    unsafe fn free_pinned(&self, address: NonNull<u8>);

    /// Creates a stream.
    ///
    /// # Errors
    /// The device has failed.
    fn create_stream(&self) -> Result<Stream, CudaError>;

    /// Destroys a stream.
    ///
    /// # Safety
    /// It was created by this device, and no operation is pending in it.
    unsafe fn destroy_stream(&self, stream: Stream);

    /// Creates an event.
    ///
    /// # Errors
    /// The device has failed.
    fn create_event(&self) -> Result<Event, CudaError>;

    /// Destroys an event.
    ///
    /// # Safety
    /// It was created by this device.
    unsafe fn destroy_event(&self, event: Event);

    /// Enqueues a copy from host memory to device memory.
    ///
    /// # Safety
    /// Both ranges are allocated until the copy has completed, and the source is not written to before.
    ///
    /// # Errors
    /// The device has failed.
    unsafe fn memcpy_htod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: *const u8,
        bytes: usize,
    ) -> Result<(), CudaError>;

    /// Enqueues a copy from device memory to host memory.
    ///
    /// # Safety
    /// Both ranges are allocated until the copy has completed, and the target is neither read nor written before.
    ///
    /// # Errors
    /// The device has failed.
    unsafe fn memcpy_dtoh_async(
        &self,
        stream: Stream,
        to: *mut u8,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<(), CudaError>;

    /// Enqueues a copy within device memory.
    ///
    /// # Safety
    /// Both ranges are allocated until the copy has completed, and do not overlap.
    ///
    /// # Errors
    /// The device has failed.
    unsafe fn memcpy_dtod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<(), CudaError>;

    /// Enqueues filling device memory with zeros.
    ///
    /// # Safety
    /// The range is allocated until the operation has completed.
    ///
    /// # Errors
    /// The device has failed.
    unsafe fn memset_async(
        &self,
        stream: Stream,
        address: DeviceAddress,
        bytes: usize,
    ) -> Result<(), CudaError>;

    /// Enqueues the launch of a kernel with a one-dimensional grid of `blocks` blocks of `threads` threads. The arguments
    /// are copied before the function returns.
    ///
    /// # Safety
    /// The kernel is loaded, the arguments point to values of the types of its parameters, and the memory that it accesses
    /// is allocated until it has completed.
    ///
    /// # Errors
    /// The device has failed.
    unsafe fn launch(
        &self,
        stream: Stream,
        kernel: Loaded,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<(), CudaError>;

    /// Records an event in a stream.
    ///
    /// # Safety
    /// Both were created by this device.
    ///
    /// # Errors
    /// The device has failed.
    unsafe fn record(&self, stream: Stream, event: Event) -> Result<(), CudaError>;

    /// Blocks until the operations before an event have completed. Returns at once if the event was never recorded.
    ///
    /// # Safety
    /// The event was created by this device.
    ///
    /// # Errors
    /// One of the operations has failed.
    unsafe fn wait(&self, event: Event) -> Result<(), CudaError>;

    /// The time between two completed events.
    ///
    /// # Safety
    /// Both were created by this device.
    ///
    /// # Errors
    /// One of them has not completed.
    unsafe fn elapsed(&self, from: Event, to: Event) -> Result<Duration, CudaError>;

    /// Blocks until all operations in a stream have completed.
    ///
    /// # Safety
    /// The stream was created by this device.
    ///
    /// # Errors
    /// One of the operations has failed.
    unsafe fn synchronize(&self, stream: Stream) -> Result<(), CudaError>;
}

/// An error of a driver, a device or the run-time compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CudaError {
    /// A library or device is missing or not supported. The message says which, and what to do.
    Missing(String),
    /// Device memory, page-locked memory or a limit is exhausted. Smaller chunks may fit.
    OutOfMemory(String),
    /// A kernel cannot be compiled or loaded.
    Kernel(String),
    /// A call for a device has failed. Later calls may succeed.
    Device(String),
    /// The device has failed, and this process cannot use it any more.
    DeviceLost(String),
}

impl fmt::Display for CudaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) | Self::OutOfMemory(what) => f.write_str(what),
            Self::Kernel(what) => write!(f, "the GPU kernel cannot be compiled or loaded: {what}"),
            Self::Device(what) => write!(
                f,
                "a call of the GPU's driver has failed: {what}; run the query again, or with warpframe.backend = 'simd'"
            ),
            Self::DeviceLost(what) => write!(
                f,
                "the GPU has failed, and this process cannot use it any more: {what}; start a new process, or set \
                 warpframe.backend = 'simd'"
            ),
        }
    }
}

impl std::error::Error for CudaError {}

impl From<CudaError> for Error {
    fn from(error: CudaError) -> Self {
        match error {
            CudaError::OutOfMemory(message) => Self::ResourcesExhausted(message),
            other => Self::backend(other),
        }
    }
}
