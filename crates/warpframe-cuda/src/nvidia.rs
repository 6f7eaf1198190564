//! NVIDIA's driver. It is loaded at its first use, so it is needed neither to build nor to run the other backends.

use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult};

use super::cuda_version::CudaVersion;
use super::disk_cache;
use super::driver::{CudaError, Device, DeviceAddress, DeviceProperties, Driver, Event, Loaded, Stream};
use super::driver_errors::{check, error_text};
use super::gpu::Gpus;
use super::kernel_image::{ImageForm, image_forms, lower_ptx_version};
use super::kernel_source::KernelSource;
use super::nvrtc::Compiler;
use super::primary_context::PrimaryContext;

type Result<T> = std::result::Result<T, CudaError>;

/// The minimum version of CUDA that the driver must support: NVRTC 12 compiles for it.
const MIN_CUDA_VERSION: CudaVersion = CudaVersion { major: 12, minor: 0 };

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
    version: CudaVersion,
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
        // This also loads the library, without which the bindings panic.
        let Some(version) = CudaVersion::of_driver() else {
            return missing("there is no NVIDIA driver (libcuda.so.1): install it, or use another backend");
        };
        if version < MIN_CUDA_VERSION {
            return missing(&format!(
                "the NVIDIA driver is for CUDA {version}, and {MIN_CUDA_VERSION} is needed: install a newer one"
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
        self.version.to_string()
    }

    fn compiler(&self) -> Result<String> {
        Compiler::description()
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
        Ok(Arc::new(Context {
            primary: PrimaryContext::retain(handle(number)?)?,
            properties: properties.clone(),
            driver_version: self.version,
            compiler: Arc::clone(&self.compiler),
            first_form: AtomicUsize::new(0),
        }))
    }
}

fn missing<T>(what: &str) -> Result<T> {
    Err(CudaError::Missing(what.to_owned()))
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

/// A GPU, through its primary context.
#[derive(Debug)]
struct Context {
    primary: PrimaryContext,
    properties: DeviceProperties,
    driver_version: CudaVersion,
    compiler: Arc<Compiler>,
    /// The position, in the order of [`image_forms`], of the first form that the driver has loaded. Those before it were
    /// refused, and are not tried again.
    first_form: AtomicUsize,
}

impl Context {
    /// The forms in which to load a kernel, the preferred one first.
    fn forms(&self, kernel: &KernelSource) -> Result<Vec<ImageForm>> {
        let (major, minor) = self.properties.compute_capability;
        let compiled = Compiler::architectures().and_then(|architectures| {
            let forms = image_forms(major * 10 + minor, &architectures, Compiler::cuda_version()?, self.driver_version);
            match forms.is_empty() {
                true => Err(CudaError::Missing(format!(
                    "NVRTC {} generates no code for the compute capability {major}.{minor} of this GPU: install another \
                     version",
                    Compiler::version()?
                ))),
                false => Ok(forms),
            }
        });
        let shipped = kernel.ptx.map(ImageForm::Shipped);
        match (compiled, shipped) {
            (Err(error), None) => Err(error),
            (compiled, shipped) => Ok(compiled.unwrap_or_default().into_iter().chain(shipped).collect()),
        }
    }

    /// A kernel in a form that the driver loads.
    fn image(&self, kernel: &KernelSource, form: ImageForm) -> Result<Arc<[u8]>> {
        match form {
            ImageForm::Cubin(_) => self.compiler.compile(&kernel.text, &form.to_string()),
            ImageForm::Ptx(_) => {
                let ptx = self.compiler.compile(&kernel.text, &form.to_string())?;
                Ok(lower_ptx_version(&ptx, self.driver_version).map_or(ptx, Into::into))
            }
            ImageForm::Shipped(ptx) => Ok(CString::new(ptx).unwrap_or_default().as_bytes_with_nul().into()),
        }
    }

    /// Loads a compiled kernel: the handles of its module and function.
    fn load_image(&self, image: &[u8], name: &CStr) -> Result<(u64, u64)> {
        let _current = self.primary.push()?;
        let (mut module, mut function) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the image is a complete cubin, or PTX with a terminating zero.
        let loaded = unsafe { sys::cuModuleLoadData(&mut module, image.as_ptr().cast()) };
        as_kernel_error(self.primary.check(loaded, "loading a kernel"))?;
        // SAFETY: the module is loaded, and the name has a terminating zero.
        let found = unsafe { sys::cuModuleGetFunction(&mut function, module, name.as_ptr()) };
        as_kernel_error(self.primary.check(found, "getting a kernel's function")).inspect_err(|_| {
            // An error is ignored: there is no way to handle it.
            // SAFETY: the module was loaded above, and nothing of it was launched.
            let _ = unsafe { sys::cuModuleUnload(module) };
        })?;
        Ok((module as u64, function as u64))
    }
}

impl Device for Context {
    fn properties(&self) -> &DeviceProperties {
        &self.properties
    }

    fn lost(&self) -> Option<CudaError> {
        self.primary.lost()
    }

    fn load(&self, kernel: &KernelSource) -> Result<Loaded> {
        let before = (Instant::now(), self.compiler.compiled());
        let name = CString::new(kernel.name).map_err(|error| CudaError::Kernel(error.to_string()))?;
        let forms = self.forms(kernel)?;
        let first = self.first_form.load(Ordering::Relaxed).min(forms.len().saturating_sub(1));
        let mut refused = Vec::new();
        for (position, form) in forms.into_iter().enumerate().skip(first) {
            let image = self.image(kernel, form);
            let compile_time = match self.compiler.compiled() == before.1 {
                true => Duration::ZERO,
                false => before.0.elapsed(),
            };
            match image.and_then(|image| self.load_image(&image, &name)) {
                Ok((module, function)) => {
                    self.first_form.fetch_max(position, Ordering::Relaxed);
                    return Ok(Loaded { module, function, compile_time });
                }
                // NVRTC cannot compile this form, or the driver, which may be older, does not load it.
                Err(CudaError::Kernel(what)) => refused.push(format!("{form}: {what}")),
                Err(error) => return Err(error),
            }
        }
        let compiler =
            Compiler::version().map_or_else(|_| String::new(), |version| format!(" and NVRTC {version}"));
        let refused = refused.join("; ");
        let driver = self.driver_version;
        Err(CudaError::Kernel(format!("{refused} (with a driver for CUDA {driver}{compiler})")))
    }

    unsafe fn unload(&self, kernel: Loaded) {
        if let Ok(_current) = self.primary.push_to_free() {
            // An error is ignored: there is no way to handle it.
            // SAFETY: the caller guarantees the requirements of the trait.
            let _ = unsafe { sys::cuModuleUnload(kernel.module as sys::CUmodule) };
        }
    }

    fn allocate(&self, bytes: usize) -> Result<DeviceAddress> {
        let _current = self.primary.push()?;
        let mut address = 0;
        // SAFETY: the pointer is valid for writing an address.
        let result = unsafe { sys::cuMemAlloc_v2(&mut address, bytes.max(1)) };
        self.primary.check(result, &format!("allocating {bytes} bytes of GPU memory"))?;
        Ok(DeviceAddress(address))
    }

    unsafe fn free(&self, address: DeviceAddress) {
        if let Ok(_current) = self.primary.push_to_free() {
            // An error is ignored: there is no way to handle it.
            // SAFETY: the caller guarantees the requirements of the trait.
            let _ = unsafe { sys::cuMemFree_v2(address.0) };
        }
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<NonNull<u8>> {
        let _current = self.primary.push()?;
        let mut address = ptr::null_mut();
        // Portable: page-locked for the contexts of all GPUs.
        let flags = sys::CU_MEMHOSTALLOC_PORTABLE;
        // SAFETY: the pointer is valid for writing an address.
        let result = unsafe { sys::cuMemHostAlloc(&mut address, bytes.max(1), flags) };
        self.primary.check(result, &format!("allocating {bytes} bytes of page-locked memory"))?;
        NonNull::new(address.cast()).ok_or_else(|| CudaError::OutOfMemory("no page-locked memory".to_owned()))
    }

    unsafe fn free_pinned(&self, address: NonNull<u8>) {
        if let Ok(_current) = self.primary.push_to_free() {
            // An error is ignored: there is no way to handle it.
            // SAFETY: the caller guarantees the requirements of the trait.
            let _ = unsafe { sys::cuMemFreeHost(address.as_ptr().cast()) };
        }
    }

    fn create_stream(&self) -> Result<Stream> {
        let _current = self.primary.push()?;
        let mut stream = ptr::null_mut();
        let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as c_uint;
        // SAFETY: the pointer is valid for writing a stream.
        self.primary.check(unsafe { sys::cuStreamCreate(&mut stream, flags) }, "creating a stream")?;
        Ok(Stream(stream as u64))
    }

    unsafe fn destroy_stream(&self, stream: Stream) {
        if let Ok(_current) = self.primary.push_to_free() {
            // An error is ignored: there is no way to handle it.
            // SAFETY: the caller guarantees the requirements of the trait.
            let _ = unsafe { sys::cuStreamDestroy_v2(stream.0 as sys::CUstream) };
        }
    }

    fn create_event(&self) -> Result<Event> {
        let _current = self.primary.push()?;
        let mut event = ptr::null_mut();
        // Threads that wait for it sleep, instead of keeping a core busy.
        let flags = sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC as c_uint;
        // SAFETY: the pointer is valid for writing an event.
        self.primary.check(unsafe { sys::cuEventCreate(&mut event, flags) }, "creating an event")?;
        Ok(Event(event as u64))
    }

    unsafe fn destroy_event(&self, event: Event) {
        if let Ok(_current) = self.primary.push_to_free() {
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
        let _current = self.primary.push()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        let result =
            unsafe { sys::cuMemcpyHtoDAsync_v2(to.0, from.cast(), bytes, stream.0 as sys::CUstream) };
        self.primary.check(result, "copying to the GPU")
    }

    unsafe fn memcpy_dtoh_async(
        &self,
        stream: Stream,
        to: *mut u8,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<()> {
        let _current = self.primary.push()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        let result =
            unsafe { sys::cuMemcpyDtoHAsync_v2(to.cast(), from.0, bytes, stream.0 as sys::CUstream) };
        self.primary.check(result, "copying from the GPU")
    }

    unsafe fn memcpy_dtod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<()> {
        let _current = self.primary.push()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        let result = unsafe { sys::cuMemcpyDtoDAsync_v2(to.0, from.0, bytes, stream.0 as sys::CUstream) };
        self.primary.check(result, "copying within GPU memory")
    }

    unsafe fn memset_async(&self, stream: Stream, address: DeviceAddress, bytes: usize) -> Result<()> {
        let _current = self.primary.push()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        let result = unsafe { sys::cuMemsetD8Async(address.0, 0, bytes, stream.0 as sys::CUstream) };
        self.primary.check(result, "filling GPU memory with zeros")
    }

    unsafe fn launch(
        &self,
        stream: Stream,
        kernel: Loaded,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        let _current = self.primary.push()?;
        let (function, stream) = (kernel.function as sys::CUfunction, stream.0 as sys::CUstream);
        let (arguments, none) = (arguments.as_mut_ptr(), ptr::null_mut());
        // SAFETY: the caller guarantees the requirements of the trait.
        let result =
            unsafe { sys::cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, none) };
        self.primary.check(result, "launching a kernel")
    }

    unsafe fn record(&self, stream: Stream, event: Event) -> Result<()> {
        let _current = self.primary.push()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        let result = unsafe { sys::cuEventRecord(event.0 as sys::CUevent, stream.0 as sys::CUstream) };
        self.primary.check(result, "recording an event")
    }

    unsafe fn wait(&self, event: Event) -> Result<()> {
        let _current = self.primary.push()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        self.primary
            .check(unsafe { sys::cuEventSynchronize(event.0 as sys::CUevent) }, "waiting for an event")
    }

    unsafe fn elapsed(&self, from: Event, to: Event) -> Result<Duration> {
        let _current = self.primary.push()?;
        let mut milliseconds = 0.0;
        // SAFETY: the caller guarantees the requirements of the trait, and the pointer is valid for writing a number.
        let result = unsafe {
            sys::cuEventElapsedTime(&mut milliseconds, from.0 as sys::CUevent, to.0 as sys::CUevent)
        };
        self.primary.check(result, "reading the time between events")?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds).max(0.0) / 1e3))
    }

    unsafe fn synchronize(&self, stream: Stream) -> Result<()> {
        let _current = self.primary.push()?;
        // SAFETY: the caller guarantees the requirements of the trait.
        self.primary
            .check(unsafe { sys::cuStreamSynchronize(stream.0 as sys::CUstream) }, "waiting for a stream")
    }
}

/// Converts an error of the driver while loading a kernel, which does not mean that the device has failed.
fn as_kernel_error<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        CudaError::Device(what) => CudaError::Kernel(what),
        other => other,
    })
}
