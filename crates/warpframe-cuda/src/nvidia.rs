//! NVIDIA's driver, loaded when it is first needed: a machine without it builds and runs everything else.

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

/// The oldest driver that is used, as it gives its version: what runs the code that NVRTC 12 makes.
const OLDEST: c_int = 12000;

/// The oldest compute capability that kernels are made for.
const LEAST_CAPABILITY: (u32, u32) = (7, 5);

/// The GPUs of this machine, through NVIDIA's driver.
///
/// # Errors
/// There is no usable GPU: what is missing, in a sentence.
pub fn gpus() -> Result<Arc<Gpus>> {
    static GPUS: OnceLock<Result<Arc<Gpus>>> = OnceLock::new();
    GPUS.get_or_init(|| Ok(Arc::new(Gpus::new(Arc::new(Nvidia::find()?))))).clone()
}

/// NVIDIA's driver.
#[derive(Debug)]
pub struct Nvidia {
    version: c_int,
    /// The devices that can be used, by the driver's number.
    devices: Vec<c_int>,
    properties: Vec<DeviceProperties>,
    compiler: Arc<Compiler>,
}

impl Nvidia {
    /// Finds the driver and its GPUs.
    ///
    /// # Errors
    /// There is no driver, it is too old, or it has no GPU that can be used: what is missing, in a sentence.
    pub fn find() -> Result<Self> {
        // SAFETY: looks for the library and loads it, which has no effects but on itself. The bindings panic in
        // any call where there is none.
        if !unsafe { sys::is_culib_present() } {
            return missing("there is no NVIDIA driver (libcuda.so.1): install it, or use another backend");
        }
        let mut version = 0;
        // SAFETY: the pointer is that of an integer.
        check(unsafe { sys::cuDriverGetVersion(&mut version) }, "asking for the driver's version")?;
        if version < OLDEST {
            return missing(&format!(
                "the NVIDIA driver is for CUDA {}, and {} is needed: install a newer one",
                shown(version),
                shown(OLDEST)
            ));
        }
        // SAFETY: there is a driver.
        match unsafe { sys::cuInit(0) } {
            CUresult::CUDA_SUCCESS => {}
            CUresult::CUDA_ERROR_NO_DEVICE => return missing("the NVIDIA driver finds no GPU"),
            error => return missing(&format!("the NVIDIA driver does not start: {}", described(error))),
        }
        let mut count = 0;
        // SAFETY: the pointer is that of an integer.
        check(unsafe { sys::cuDeviceGetCount(&mut count) }, "counting the GPUs")?;
        let all = (0..count).map(|device| Ok((device, properties(device)?))).collect::<Result<Vec<_>>>()?;
        let best = all.iter().map(|(_, properties)| properties.compute_capability).max();
        let usable = all.into_iter().filter(|(_, found)| found.compute_capability >= LEAST_CAPABILITY);
        let (devices, properties): (Vec<_>, Vec<_>) = usable.unzip();
        match (devices.is_empty(), best) {
            (true, None) => missing("the NVIDIA driver finds no GPU"),
            (true, Some((major, minor))) => missing(&format!(
                "the GPU has compute capability {major}.{minor}, and {}.{} is needed",
                LEAST_CAPABILITY.0, LEAST_CAPABILITY.1
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
        shown(self.version)
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
        // SAFETY: the driver was started, the device is one of its own, and the pointer is that of a context.
        check(unsafe { sys::cuCtxCreate_v2(&mut context, 0, handle(number)?) }, "opening the GPU")?;
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

/// A version as NVIDIA writes it: 12090 is 12.9.
fn shown(version: c_int) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

fn handle(device: c_int) -> Result<sys::CUdevice> {
    let mut found = 0;
    // SAFETY: the driver was started, and the pointer is that of a device.
    check(unsafe { sys::cuDeviceGet(&mut found, device) }, "finding the GPU")?;
    Ok(found)
}

fn properties(device: c_int) -> Result<DeviceProperties> {
    let device = handle(device)?;
    let attribute = |attribute: Attribute| -> Result<u32> {
        let mut value = 0;
        // SAFETY: the device is valid, and the pointer that of an integer.
        let found = unsafe { sys::cuDeviceGetAttribute(&mut value, attribute, device) };
        check(found, "asking for an attribute")?;
        Ok(value.unsigned_abs())
    };
    let mut name = [0; 256];
    // SAFETY: the device is valid, and the buffer has the length that is given.
    check(unsafe { sys::cuDeviceGetName(name.as_mut_ptr(), 256, device) }, "asking for the GPU's name")?;
    let mut memory = 0;
    // SAFETY: the device is valid, and the pointer that of an integer.
    check(unsafe { sys::cuDeviceTotalMem_v2(&mut memory, device) }, "asking for the GPU's memory")?;
    // SAFETY: the driver has written a text that ends with a zero, and the buffer was zeros before.
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

fn check(result: CUresult, doing: &str) -> Result<()> {
    match result {
        CUresult::CUDA_SUCCESS => Ok(()),
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
            Err(CudaError::OutOfMemory(format!("out of GPU memory or of memory to lock, {doing}")))
        }
        error => Err(CudaError::Device(format!("{}, {doing}", described(error)))),
    }
}

/// The driver's words for an error.
fn described(error: CUresult) -> String {
    let mut text = ptr::null();
    // SAFETY: the pointer is that of a pointer; the text it then points to is the driver's and stays.
    match unsafe { sys::cuGetErrorString(error, &mut text) } {
        // SAFETY: as above.
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

// SAFETY: a context may be used by any thread that has made it its current one, which every call does first.
unsafe impl Send for Context {}
// SAFETY: as above; the driver locks what it has to.
unsafe impl Sync for Context {}

impl Context {
    /// Makes the context the calling thread's.
    fn enter(&self) -> Result<()> {
        // SAFETY: the context lives as long as `self`.
        check(unsafe { sys::cuCtxSetCurrent(self.context) }, "entering the GPU's context")
    }

    /// What the driver has to load for a kernel: the GPU's own code, or PTX where that is all there is.
    fn image(&self, kernel: &KernelSource) -> Result<Arc<[u8]>> {
        let (major, minor) = self.properties.compute_capability;
        // For a GPU that is newer than NVRTC the driver compiles PTX.
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
        // SAFETY: nobody has the context any more. There is nothing to do about an error.
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
        self.enter()?;
        let (mut module, mut function) = (ptr::null_mut(), ptr::null_mut());
        let name = CString::new(kernel.name).map_err(|error| CudaError::Kernel(error.to_string()))?;
        // SAFETY: the image is whole, and PTX ends with a zero.
        let loaded = unsafe { sys::cuModuleLoadData(&mut module, image.as_ptr().cast()) };
        as_kernel_error(check(loaded, "loading a kernel"))?;
        // SAFETY: the module was loaded, and the name ends with a zero.
        let found = unsafe { sys::cuModuleGetFunction(&mut function, module, name.as_ptr()) };
        as_kernel_error(check(found, "finding a kernel"))?;
        Ok(Loaded { module: module as u64, function: function as u64, compile_time })
    }

    unsafe fn unload(&self, kernel: Loaded) {
        if self.enter().is_ok() {
            // SAFETY: the caller's. There is nothing to do about an error.
            let _ = unsafe { sys::cuModuleUnload(kernel.module as sys::CUmodule) };
        }
    }

    fn allocate(&self, bytes: usize) -> Result<DeviceAddress> {
        self.enter()?;
        let mut address = 0;
        // SAFETY: the pointer is that of an address.
        let got = unsafe { sys::cuMemAlloc_v2(&mut address, bytes.max(1)) };
        check(got, &format!("asking for {bytes} bytes of the GPU"))?;
        Ok(DeviceAddress(address))
    }

    unsafe fn free(&self, address: DeviceAddress) {
        if self.enter().is_ok() {
            // SAFETY: the caller's. There is nothing to do about an error.
            let _ = unsafe { sys::cuMemFree_v2(address.0) };
        }
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<NonNull<u8>> {
        self.enter()?;
        let mut address = ptr::null_mut();
        // Portable: for the contexts of other GPUs, too.
        let flags = sys::CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: the pointer is that of an address.
        let got = unsafe { sys::cuMemHostAlloc(&mut address, bytes.max(1), flags) };
        check(got, &format!("asking for {bytes} bytes of page-locked memory"))?;
        NonNull::new(address.cast()).ok_or_else(|| CudaError::OutOfMemory("no page-locked memory".to_owned()))
    }

    unsafe fn free_pinned(&self, address: NonNull<u8>) {
        if self.enter().is_ok() {
            // SAFETY: the caller's. There is nothing to do about an error.
            let _ = unsafe { sys::cuMemFreeHost(address.as_ptr().cast()) };
        }
    }

    fn create_stream(&self) -> Result<Stream> {
        self.enter()?;
        let mut stream = ptr::null_mut();
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as c_uint;
        // SAFETY: the pointer is that of a stream.
        check(unsafe { sys::cuStreamCreate(&mut stream, flags) }, "making a stream")?;
        Ok(Stream(stream as u64))
    }

    unsafe fn destroy_stream(&self, stream: Stream) {
        if self.enter().is_ok() {
            // SAFETY: the caller's. There is nothing to do about an error.
            let _ = unsafe { sys::cuStreamDestroy_v2(stream.0 as sys::CUstream) };
        }
    }

    fn create_event(&self) -> Result<Event> {
        self.enter()?;
        let mut event = ptr::null_mut();
        // SAFETY: the pointer is that of an event.
        check(unsafe { sys::cuEventCreate(&mut event, 0) }, "making an event")?;
        Ok(Event(event as u64))
    }

    unsafe fn destroy_event(&self, event: Event) {
        if self.enter().is_ok() {
            // SAFETY: the caller's. There is nothing to do about an error.
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
        self.enter()?;
        // SAFETY: the caller's.
        let put = unsafe { sys::cuMemcpyHtoDAsync_v2(to.0, from.cast(), bytes, stream.0 as sys::CUstream) };
        check(put, "copying to the GPU")
    }

    unsafe fn memcpy_dtoh_async(
        &self,
        stream: Stream,
        to: *mut u8,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        let put = unsafe { sys::cuMemcpyDtoHAsync_v2(to.cast(), from.0, bytes, stream.0 as sys::CUstream) };
        check(put, "copying from the GPU")
    }

    unsafe fn memcpy_dtod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        let put = unsafe { sys::cuMemcpyDtoDAsync_v2(to.0, from.0, bytes, stream.0 as sys::CUstream) };
        check(put, "copying on the GPU")
    }

    unsafe fn memset_async(&self, stream: Stream, address: DeviceAddress, bytes: usize) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        let put = unsafe { sys::cuMemsetD8Async(address.0, 0, bytes, stream.0 as sys::CUstream) };
        check(put, "clearing memory of the GPU")
    }

    unsafe fn launch(
        &self,
        stream: Stream,
        kernel: Loaded,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        self.enter()?;
        let (function, stream) = (kernel.function as sys::CUfunction, stream.0 as sys::CUstream);
        let (arguments, none) = (arguments.as_mut_ptr(), ptr::null_mut());
        // SAFETY: the caller's.
        let put =
            unsafe { sys::cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, none) };
        check(put, "starting a kernel")
    }

    unsafe fn record(&self, stream: Stream, event: Event) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        let put = unsafe { sys::cuEventRecord(event.0 as sys::CUevent, stream.0 as sys::CUstream) };
        check(put, "recording an event")
    }

    unsafe fn wait(&self, event: Event) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        check(unsafe { sys::cuEventSynchronize(event.0 as sys::CUevent) }, "waiting for the GPU")
    }

    unsafe fn elapsed(&self, from: Event, to: Event) -> Result<Duration> {
        self.enter()?;
        let mut milliseconds = 0.0;
        // SAFETY: the events are the caller's, and the pointer is that of a number.
        let found = unsafe {
            sys::cuEventElapsedTime(&mut milliseconds, from.0 as sys::CUevent, to.0 as sys::CUevent)
        };
        check(found, "reading the GPU's clock")?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds).max(0.0) / 1e3))
    }

    unsafe fn synchronize(&self, stream: Stream) -> Result<()> {
        self.enter()?;
        // SAFETY: the caller's.
        check(unsafe { sys::cuStreamSynchronize(stream.0 as sys::CUstream) }, "waiting for the GPU")
    }
}

/// A failure to load is the kernel's, not the device's.
fn as_kernel_error<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        CudaError::Device(what) => CudaError::Kernel(what),
        other => other,
    })
}
