//! What the backend needs of CUDA's driver, and no more. NVIDIA's is in `nvidia`; tests bring one that runs
//! kernels on the CPU and fails when it is told to.

use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use warpframe_ir::error::Error;

use super::kernel_source::KernelSource;

/// A machine's GPUs.
pub trait Driver: fmt::Debug + Send + Sync {
    /// The highest version of CUDA it speaks, such as `12.9`.
    fn version(&self) -> String;

    /// What compiles kernels at run time, such as `NVRTC 12.9`, or why there is nothing.
    fn compiler(&self) -> Result<String, CudaError>;

    /// Whether its GPUs are there, so that what is measured of them once holds for later processes.
    fn is_real(&self) -> bool;

    /// The GPUs, at least one.
    fn devices(&self) -> &[DeviceProperties];

    /// A fresh context on one of them. What went wrong in another one does not concern it.
    ///
    /// # Errors
    /// The device does not answer.
    fn open(&self, device: usize) -> Result<Arc<dyn Device>, CudaError>;
}

/// What is known of a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceProperties {
    /// Its name.
    pub name: String,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// Compute capability, major and minor.
    pub compute_capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
}

/// An address in a GPU's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceAddress(pub u64);

/// A queue of work: what is put into one runs in that order, what is in several may overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream(pub u64);

/// A mark in a stream, with the time at which the work before it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event(pub u64);

/// A kernel that the GPU has loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// What unloads it.
    pub module: u64,
    /// What starts it.
    pub function: u64,
    /// How long compiling took; nothing where the result was known.
    pub compile_time: Duration,
}

/// A context on a GPU. Any thread may call it.
///
/// Functions that take addresses and handles are unsafe: those have to come from this device and not be freed,
/// and memory that work in a stream reads or writes has to stay until that work is done, as an
/// [`event`](Self::wait) behind it or [`synchronize`](Self::synchronize) tells.
pub trait Device: fmt::Debug + Send + Sync {
    /// The GPU.
    fn properties(&self) -> &DeviceProperties;

    /// Compiles a kernel for this GPU, and loads it.
    ///
    /// # Errors
    /// There is nothing to compile with, or the source is not valid.
    fn load(&self, kernel: &KernelSource) -> Result<Loaded, CudaError>;

    /// Unloads a kernel.
    ///
    /// # Safety
    /// No work with it is in a stream.
    unsafe fn unload(&self, kernel: Loaded);

    /// Memory on the GPU, aligned to 256 bytes.
    ///
    /// # Errors
    /// There is not enough.
    fn allocate(&self, bytes: usize) -> Result<DeviceAddress, CudaError>;

    /// Gives memory back.
    ///
    /// # Safety
    /// It came from [`allocate`](Self::allocate), and no work with it is in a stream.
    unsafe fn free(&self, address: DeviceAddress);

    /// Page-locked memory of this machine, aligned to 256 bytes: the GPU copies from and to it by itself.
    ///
    /// # Errors
    /// There is not enough.
    fn allocate_pinned(&self, bytes: usize) -> Result<NonNull<u8>, CudaError>;

    /// Gives page-locked memory back.
    ///
    /// # Safety
    /// It came from [`allocate_pinned`](Self::allocate_pinned), and no work with it is in a stream.
    unsafe fn free_pinned(&self, address: NonNull<u8>);

    /// A stream.
    ///
    /// # Errors
    /// The device does not answer.
    fn create_stream(&self) -> Result<Stream, CudaError>;

    /// Ends a stream.
    ///
    /// # Safety
    /// It is one of this device, and nothing is left in it.
    unsafe fn destroy_stream(&self, stream: Stream);

    /// An event.
    ///
    /// # Errors
    /// The device does not answer.
    fn create_event(&self) -> Result<Event, CudaError>;

    /// Ends an event.
    ///
    /// # Safety
    /// It is one of this device.
    unsafe fn destroy_event(&self, event: Event);

    /// Puts a copy to the GPU into a stream.
    ///
    /// # Safety
    /// Both ranges are whole and stay until the copy is done; the source is not written to before.
    ///
    /// # Errors
    /// The device does not answer.
    unsafe fn memcpy_htod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: *const u8,
        bytes: usize,
    ) -> Result<(), CudaError>;

    /// Puts a copy from the GPU into a stream.
    ///
    /// # Safety
    /// Both ranges are whole and stay until the copy is done; nobody uses the target before.
    ///
    /// # Errors
    /// The device does not answer.
    unsafe fn memcpy_dtoh_async(
        &self,
        stream: Stream,
        to: *mut u8,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<(), CudaError>;

    /// Puts a copy from one place on the GPU to another into a stream.
    ///
    /// # Safety
    /// Both ranges are whole, do not meet, and stay until the copy is done.
    ///
    /// # Errors
    /// The device does not answer.
    unsafe fn memcpy_dtod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<(), CudaError>;

    /// Puts the filling of memory with zeros into a stream.
    ///
    /// # Safety
    /// The range is whole and stays until it is done.
    ///
    /// # Errors
    /// The device does not answer.
    unsafe fn memset_async(
        &self,
        stream: Stream,
        address: DeviceAddress,
        bytes: usize,
    ) -> Result<(), CudaError>;

    /// Puts a kernel into a stream: a grid of so many blocks, in one dimension, of so many threads. The arguments
    /// are read before this returns.
    ///
    /// # Safety
    /// The kernel is loaded, the arguments point to values of its parameters' types, and the memory that it uses
    /// stays until it is done.
    ///
    /// # Errors
    /// The device does not answer.
    unsafe fn launch(
        &self,
        stream: Stream,
        kernel: Loaded,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<(), CudaError>;

    /// Puts an event into a stream.
    ///
    /// # Safety
    /// Both are of this device.
    ///
    /// # Errors
    /// The device does not answer.
    unsafe fn record(&self, stream: Stream, event: Event) -> Result<(), CudaError>;

    /// Waits for the work before an event; not at all for one that was never recorded.
    ///
    /// # Safety
    /// The event is one of this device.
    ///
    /// # Errors
    /// Some of that work has failed.
    unsafe fn wait(&self, event: Event) -> Result<(), CudaError>;

    /// The time between two events that have happened.
    ///
    /// # Safety
    /// Both are of this device.
    ///
    /// # Errors
    /// One of them has not.
    unsafe fn elapsed(&self, from: Event, to: Event) -> Result<Duration, CudaError>;

    /// Waits for all work in a stream.
    ///
    /// # Safety
    /// The stream is one of this device.
    ///
    /// # Errors
    /// Some of it has failed.
    unsafe fn synchronize(&self, stream: Stream) -> Result<(), CudaError>;
}

/// What can go wrong on a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CudaError {
    /// Something is not there: what, and what to do.
    Missing(String),
    /// Neither more nor less than that: fewer rows may fit.
    OutOfMemory(String),
    /// A kernel cannot be compiled or loaded.
    Kernel(String),
    /// The device has failed. Its context is of no use any more.
    Device(String),
}

impl fmt::Display for CudaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) | Self::OutOfMemory(what) => f.write_str(what),
            Self::Kernel(what) => write!(f, "the GPU's kernel cannot be made: {what}"),
            Self::Device(what) => {
                write!(
                    f,
                    "the GPU has failed: {what}; run the query again, or with warpframe.backend = 'simd'"
                )
            }
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
