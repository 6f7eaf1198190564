//! NVIDIA's driver. It is loaded at its first use, so it is needed neither to build nor to run the other backends.

use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult};

use super::disk_cache;
use super::driver::{CudaError, Device, DeviceAddress, DeviceProperties, Driver, Event, Loaded, Stream};
use super::gpu::Gpus;
use super::kernel_source::KernelSource;
use super::nvrtc::Compiler;

type Result<T> = std::result::Result<T, CudaError>;

/// The minimum version of CUDA that the driver must support, in the encoding of `cuDriverGetVersion`: NVRTC 12 compiles
/// for it.
const MIN_CUDA_VERSION: c_int = 12000;

/// The minimum compute capability of a usable GPU.
const MIN_COMPUTE_CAPABILITY: (u32, u32) = (7, 5);

/// The GPUs of this machine, found at the first call.
///
/// # Errors
/// There is no usable driver or GPU; the message says what is missing.
pub fn gpus() -> Result<Arc<Gpus>> {
    static GPUS: OnceLock<Result<Arc<Gpus>>> = OnceLock::new();
    GPUS.get_or_init(|| Ok(Arc::new(Gpus::new(Arc::new(Nvidia::find()?))))).clone()
}

/// NVIDIA's driver.
#[derive(Debug)]
pub struct Nvidia {
    version: c_int,
    /// The driver's numbers of the usable devices.
    devices: Vec<c_int>,
    properties: Vec<DeviceProperties>,
    compiler: Arc<Compiler>,
}

impl Nvidia {
    /// Loads the driver, and finds its GPUs.
    ///
    /// # Errors
    /// There is no driver, it is too old, or it has no usable GPU; the message says what is missing.
    pub fn find() -> Result<Self> {
        // The bindings panic if the library cannot be loaded, so this is checked before any call.
        // SAFETY: loads the library, whose initialization has no effects outside of it.
        if !unsafe { sys::is_culib_present() } {
            return missing("there is no NVIDIA driver (libcuda.so.1): install it, or use another backend");
        }
        let mut version = 0;
        // SAFETY: the pointer is valid for writing an integer.
        check(unsafe { sys::cuDriverGetVersion(&mut version) }, "querying the driver version")?;
        if version < MIN_CUDA_VERSION {
            return missing(&format!(
                "the NVIDIA driver is for CUDA {}, and {} is needed: install a newer one",
                version_text(version),
                version_text(MIN_CUDA_VERSION)
            ));
        }
        // SAFETY: the library is loaded.
        match unsafe { sys::cuInit(0) } {
            CUresult::CUDA_SUCCESS => {}
            CUresult::CUDA_ERROR_NO_DEVICE => return missing("the NVIDIA driver finds no GPU"),
            error => return missing(&format!("the NVIDIA driver does not start: {}", error_text(error))),
        }
        let mut count = 0;
        // SAFETY: the pointer is valid for writing an integer.
        check(unsafe { sys::cuDeviceGetCount(&mut count) }, "counting the GPUs")?;
        let all = (0..count).map(|device| Ok((device, properties(device)?))).collect::<Result<Vec<_>>>()?;
        let best = all.iter().map(|(_, properties)| properties.compute_capability).max();
        let usable = all.into_iter().filter(|(_, found)| found.compute_capability >= MIN_COMPUTE_CAPABILITY);
        let (devices, properties): (Vec<_>, Vec<_>) = usable.unzip();
        match (devices.is_empty(), best) {
            (true, None) => missing("the NVIDIA driver finds no GPU"),
            (true, Some((major, minor))) => missing(&format!(
                "the GPU has compute capability {major}.{minor}, and {}.{} is needed",
                MIN_COMPUTE_CAPABILITY.0, MIN_COMPUTE_CAPABILITY.1
            )),
            (false, _) => {
                let compiler = Arc::new(Compiler::new(disk_cache::folder("kernels")));
                Ok(Self { version, devices, properties, compiler })
            }
        }
    }
}

impl Driver for Nvidia {
    fn version(&self) -> String {
        version_text(self.version)
    }

    fn compiler(&self) -> Result<String> {
        Ok(format!("NVRTC {}", Compiler::version()?))
    }

    fn is_real(&self) -> bool {
        true
    }

    fn devices(&self) -> &[DeviceProperties] {
        &self.properties
    }

    fn open(&self, device: usize) -> Result<Arc<dyn Device>> {
        let (Some(&number), Some(properties)) = (self.devices.get(device), self.properties.get(device))
        else {
            return missing(&format!("there is no GPU {device}"));
        };
        let mut context = ptr::null_mut();
        // SAFETY: the driver is initialized, the device is valid, and the pointer is valid for writing a context.
        check(unsafe { sys::cuCtxCreate_v2(&mut context, 0, handle(number)?) }, "creating a context")?;
        Ok(Arc::new(Context {
            context,
            properties: properties.clone(),
            compiler: Arc::clone(&self.compiler),
        }))
    }
}

fn missing<T>(what: &str) -> Result<T> {
    Err(CudaError::Missing(what.to_owned()))
}

/// Formats a version in the driver's encoding: 12090 is 12.9.
fn version_text(version: c_int) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

fn handle(device: c_int) -> Result<sys::CUdevice> {
    let mut found = 0;
    // SAFETY: the driver is initialized, and the pointer is valid for writing a device.
    check(unsafe { sys::cuDeviceGet(&mut found, device) }, "querying a GPU")?;
    Ok(found)
}

fn properties(device: c_int) -> Result<DeviceProperties> {
    let device = handle(device)?;
    let attribute = |attribute: Attribute| -> Result<u32> {
        let mut value = 0;
        // SAFETY: the device is valid, and the pointer is valid for writing an integer.
        let result = unsafe { sys::cuDeviceGetAttribute(&mut value, attribute, device) };
        check(result, "querying a GPU's attribute")?;
        Ok(value.unsigned_abs())
    };
    let mut name = [0; 256];
    // SAFETY: the device is valid, and the buffer has the given length.
    check(unsafe { sys::cuDeviceGetName(name.as_mut_ptr(), 256, device) }, "querying a GPU's name")?;
    let mut memory = 0;
    // SAFETY: the device is valid, and the pointer is valid for writing an integer.
    check(unsafe { sys::cuDeviceTotalMem_v2(&mut memory, device) }, "querying the size of a GPU's memory")?;
    // SAFETY: the driver has written a string with a terminating zero.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    Ok(DeviceProperties {
        name: name.to_string_lossy().into_owned(),
        memory_bytes: memory as u64,
        compute_capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
    })
}

/// Converts a result of the driver. `operation` is part of the message.
fn check(result: CUresult, operation: &str) -> Result<()> {
    match result {
        CUresult::CUDA_SUCCESS => Ok(()),
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
            Err(CudaError::OutOfMemory(format!("out of GPU memory or page-locked memory, {operation}")))
        }
        error => Err(CudaError::Device(format!("{}, {operation}", error_text(error)))),
    }
}

/// The driver's description of an error.
fn error_text(error: CUresult) -> String {
    let mut text = ptr::null();
    // SAFETY: the pointer is valid for writing a pointer.
    match unsafe { sys::cuGetErrorString(error, &mut text) } {
        // SAFETY: the text is a static string of the driver, with a terminating zero.
        CUresult::CUDA_SUCCESS if !text.is_null() => unsafe { CStr::from_ptr(text) }.to_string_lossy().into(),
        _ => format!("{error:?}"),
    }
}

/// A context on a GPU.
#[derive(Debug)]
struct Context {
    context: sys::CUcontext,
    properties: DeviceProperties,
    compiler: Arc<Compiler>,
}

// SAFETY: any thread may use a context after making it current, which methods do before each use.
unsafe impl Send for Context {}
// SAFETY: as above, and the driver is thread-safe.
unsafe impl Sync for Context {}

impl Context {
    /// Makes the context current for the calling thread.
    fn set_current(&self) -> Result<()> {
        // SAFETY: the context is destroyed only when `self` is dropped.
        check(unsafe { sys::cuCtxSetCurrent(self.context) }, "setting the current context")
    }

    /// The compiled form of a kernel that the driver loads: a cubin for this GPU; PTX if NVRTC does not support the GPU, or
    /// if there is no NVRTC and the kernel is a shipped one.
    fn image(&self, kernel: &KernelSource) -> Result<Arc<[u8]>> {
        let (major, minor) = self.properties.compute_capability;
        // For a GPU that is newer than NVRTC, the driver compiles PTX of the oldest supported architecture.
        let architecture = match Compiler::supports(major * 10 + minor) {
            Ok(false) => KernelSource::SHIPPED_ARCHITECTURE.to_owned(),
            _ => format!("sm_{major}{minor}"),
        };
        let compiled = self.compiler.compile(&kernel.text, &architecture);
        match (compiled, kernel.ptx) {
            (Err(CudaError::Missing(_)), Some(ptx)) => {
                Ok(CString::new(ptx).unwrap_or_default().as_bytes_with_nul().into())
            }
            (compiled, _) => compiled,
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // An error is ignored: the context is not used any more.
        // SAFETY: the context was created by the driver, and `self` has its only handle.
        let _ = unsafe { sys::cuCtxDestroy_v2(self.context) };
    }
}

impl Device for Context {
    fn properties(&self) -> &DeviceProperties {
        &self.properties
    }

    fn load(&self, kernel: &KernelSource) -> Result<Loaded> {
        let before = (Instant::now(), self.compiler.compiled());
        let image = self.image(kernel)?;
        let compile_time = match self.compiler.compiled() == before.1 {
            true => Duration::ZERO,
            false => before.0.elapsed(),
        };
        self.set_current()?;
        let (mut module, mut function) = (ptr::null_mut(), ptr::null_mut());
        let name = CString::new(kernel.name).map_err(|error| CudaError::Kernel(error.to_string()))?;
        // SAFETY: the image is a complete cubin, or PTX with a terminating zero.
        let loaded = unsafe { sys::cuModuleLoadData(&mut module, image.as_ptr().cast()) };
        as_kernel_error(check(loaded, "loading a kernel"))?;
        // SAFETY: the module is loaded, and the name has a terminating zero.
        let found = unsafe { sys::cuModuleGetFunction(&mut function, module, name.as_ptr()) };
        as_kernel_error(check(found, "getting a kernel's function"))?;
        Ok(Loaded { module: module as u64, function: function as u64, compile_time })
    }

    unsafe fn unload(&self, kernel: Loaded) {
        if self.set_current().is_ok() {
            // An error is ignored: there is no way to handle it.
            // SAFETY: the caller guarantees the requirements of the trait.
            let _ = unsafe { sys::cuModuleUnload(kernel.module as sys::CUmodule) };
        }
    }

    fn allocate(&self, bytes: usize) -> Result<DeviceAddress> {
        self.set_current()?;
        let mut address = 0;
        // SAFETY: the pointer is valid for writing an address.
        let result = unsafe { sys::cuMemAlloc_v2(&mut address, bytes.max(1)) };
        check(result, &format!("allocating {bytes} bytes of GPU memory"))?;
        Ok(DeviceAddress(address))
    }

    unsafe fn free(&self, address: DeviceAddress) {
        if self.set_current().is_ok() {
            // An error is ignored: there is no way to handle it.
            // SAFETY: the caller guarantees the requirements of the trait.
            let _ = unsafe { sys::cuMemFree_v2(address.0) };
        }
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<NonNull<u8>> {
        self.set_current()?;
        let mut address = ptr::null_mut();
        // Portable: page-locked for the contexts of all GPUs.
        let flags = sys::CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: the pointer is valid for writing an address.
        let result = unsafe { sys::cuMemHostAlloc(&mut address, bytes.max(1), flags) };
        check(result, &format!("allocating {bytes} bytes of page-locked memory"))?;
        NonNull::new(address.cast()).ok_or_else(|| CudaError::OutOfMemory("no page-locked memory".to_owned()))
    }

    unsafe fn free_pinned(&self, address: NonNull<u8>) {
        if self.set_current().is_ok() {
            // An error is ignored: there is no way to handle it.
            // SAFETY: the caller guarantees the requirements of the trait.
            let _ = unsafe { sys::cuMemFreeHost(address.as_ptr().cast()) };
        }
    }

    fn create_stream(&self) -> Result<Stream> {
        self.set_current()?;
        let mut stream = ptr::null_mut();
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as c_uint;
        // SAFETY: the pointer is valid for writing a stream.
        check(unsafe { sys::cuStreamCreate(&mut stream, flags) }, "creating a stream")?;
        Ok(Stream(stream as u64))
    }

    unsafe fn destroy_stream(&self, stream: Stream) {
        if self.set_current().is_ok() {
            // An error is ignored: there is no way to handle it.
            // SAFETY: the caller guarantees the requirements of the trait.
            let _ = unsafe { sys::cuStreamDestroy_v2(stream.0 as sys::CUstream) };
        }
    }

    fn create_event(&self) -> Result<Event> {
        self.set_current()?;
        let mut event = ptr::null_mut();
        // Threads that wait for it sleep, instead of keeping a core busy.
        let flags = sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC as c_uint;
        // SAFETY: the pointer is valid for writing an event.
        check(unsafe { sys::cuEventCreate(&mut event, flags) }, "creating an event")?;
        Ok(Event(event as u64))
    }

    unsafe fn destroy_event(&self, event: Event) {
        if self.set_current().is_ok() {
            // An error is ignored: there is no way to handle it.
            // SAFETY: the caller guarantees the requirements of the trait.
            let _ = unsafe { sys::cuEventDestroy_v2(event.0 as sys::CUevent) };
        }
    }

    unsafe fn memcpy_htod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: *const u8,
        bytes: usize,
    ) -> Result<()> {
        self.set_current()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        let result =
            unsafe { sys::cuMemcpyHtoDAsync_v2(to.0, from.cast(), bytes, stream.0 as sys::CUstream) };
        check(result, "copying to the GPU")
    }

    unsafe fn memcpy_dtoh_async(
        &self,
        stream: Stream,
        to: *mut u8,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<()> {
        self.set_current()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        let result =
            unsafe { sys::cuMemcpyDtoHAsync_v2(to.cast(), from.0, bytes, stream.0 as sys::CUstream) };
        check(result, "copying from the GPU")
    }

    unsafe fn memcpy_dtod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<()> {
        self.set_current()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        let result = unsafe { sys::cuMemcpyDtoDAsync_v2(to.0, from.0, bytes, stream.0 as sys::CUstream) };
        check(result, "copying within GPU memory")
    }

    unsafe fn memset_async(&self, stream: Stream, address: DeviceAddress, bytes: usize) -> Result<()> {
        self.set_current()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        let result = unsafe { sys::cuMemsetD8Async(address.0, 0, bytes, stream.0 as sys::CUstream) };
        check(result, "filling GPU memory with zeros")
    }

    unsafe fn launch(
        &self,
        stream: Stream,
        kernel: Loaded,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        self.set_current()?;
        let (function, stream) = (kernel.function as sys::CUfunction, stream.0 as sys::CUstream);
        let (arguments, none) = (arguments.as_mut_ptr(), ptr::null_mut());
        // SAFETY: the caller guarantees the requirements of the trait.
        let result =
            unsafe { sys::cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, none) };
        check(result, "launching a kernel")
    }

    unsafe fn record(&self, stream: Stream, event: Event) -> Result<()> {
        self.set_current()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        let result = unsafe { sys::cuEventRecord(event.0 as sys::CUevent, stream.0 as sys::CUstream) };
        check(result, "recording an event")
    }

    unsafe fn wait(&self, event: Event) -> Result<()> {
        self.set_current()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        check(unsafe { sys::cuEventSynchronize(event.0 as sys::CUevent) }, "waiting for an event")
    }

    unsafe fn elapsed(&self, from: Event, to: Event) -> Result<Duration> {
        self.set_current()?;
        let mut milliseconds = 0.0;
        // SAFETY: the caller guarantees the requirements of the trait, and the pointer is valid for writing a number.
        let result = unsafe {
            sys::cuEventElapsedTime(&mut milliseconds, from.0 as sys::CUevent, to.0 as sys::CUevent)
        };
        check(result, "reading the time between events")?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds).max(0.0) / 1e3))
    }

    unsafe fn synchronize(&self, stream: Stream) -> Result<()> {
        self.set_current()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        check(unsafe { sys::cuStreamSynchronize(stream.0 as sys::CUstream) }, "waiting for a stream")
    }
}

/// Converts an error of the driver while loading a kernel, which does not mean that the device has failed.
fn as_kernel_error<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        CudaError::Device(what) => CudaError::Kernel(what),
        other => other,
    })
}
