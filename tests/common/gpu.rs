//! Simulated GPUs: an implementation of the backend's driver interface that runs kernels on the CPU, compiled through
//! `kernels/host_shim.h`.
//!
//! The driver permits no more than CUDA's contract does. Operations that are enqueued in a stream run only when the
//! stream or one of its events is waited for, so premature reuse of memory gives wrong results. Freeing memory that
//! enqueued operations use, leaks, and calls with invalid arguments are recorded as violations. Tests set the size of
//! the memory and make single calls fail.

use std::alloc::Layout;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::{c_uint, c_void};
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use libloading::Library;
use warpframe_cuda::codegen::PRELUDE;
use warpframe_cuda::driver::{
    CudaError, Device, DeviceAddress, DeviceProperties, Driver, Event, Loaded, Stream,
};
use warpframe_cuda::{Calibration, Gpus, KernelSource};

type Result<T> = std::result::Result<T, CudaError>;
type Launch = unsafe extern "C" fn(c_uint, c_uint, *mut *mut c_void);

/// Whether this machine has a C++ compiler for kernels.
pub fn has_compiler() -> bool {
    std::process::Command::new("c++").arg("--version").output().is_ok()
}

/// A driver call that a test can make fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Open,
    MemcpyHtoD,
    MemcpyDtoH,
    Launch,
    Wait,
}

/// How a driver call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failing {
    /// Alone: later calls succeed.
    Once,
    /// With its GPU: all later calls for it fail.
    Lost,
}

/// A bus of 1 MB/s and a GPU as fast as the CPU: `auto` never uses the GPU.
pub const SLOW_BUS: Calibration = Calibration {
    h2d: 0.001,
    d2h: 0.001,
    two_way: 0.002,
    stage: 10.0,
    device_copy: 1000.0,
    host_copy: 20.0,
    latency: 10_000.0,
    gpu_cheap: 0.1,
    gpu_costly: 1.0,
    gpu_cheap_f32: 0.05,
    gpu_costly_f32: 0.5,
    cpu_cheap: 0.1,
    cpu_costly: 1.0,
    cpu_cheap_f32: 0.05,
    cpu_costly_f32: 0.5,
};

/// The driver of the simulated GPUs.
#[derive(Debug)]
pub struct FakeDriver {
    properties: Vec<DeviceProperties>,
    controls: Arc<Controls>,
}

/// Something that a test does in calls of the driver.
#[derive(Default)]
struct Hook(Mutex<Option<Arc<dyn Fn() + Send + Sync>>>);

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// Controls the simulated GPUs, and records calls and violations.
#[derive(Debug)]
pub struct Controls {
    /// The size of each GPU's memory in bytes.
    pub memory_limit: AtomicUsize,
    /// The limit of page-locked memory for each GPU in bytes.
    pub pinned_limit: AtomicUsize,
    /// The page-locked allocations of all GPUs: their sizes by address.
    pinned: Mutex<BTreeMap<usize, usize>>,
    /// Whether there is a compiler. Without one, only the shipped kernels can be loaded.
    pub compiler: AtomicBool,
    /// The operation that is to fail, its number among later calls of the operation, counted from 1, and how.
    failing: Mutex<Option<(Operation, usize, Failing)>>,
    violations: Mutex<Vec<String>>,
    /// The GPU of each kernel launch.
    launches: Mutex<Vec<usize>>,
    /// The source addresses of copies to GPUs.
    htod_sources: Mutex<Vec<usize>>,
    /// The numbers of copies from GPUs and of memsets.
    dtoh_copies: AtomicUsize,
    memsets: AtomicUsize,
    /// Called while a thread waits for an event.
    on_wait: Hook,
    opened: AtomicUsize,
    libraries: Mutex<HashMap<KernelSource, (Arc<Library>, usize)>>,
}

impl FakeDriver {
    /// GPUs with unlimited memory, and the calibration [`SLOW_BUS`].
    pub fn gpus(devices: usize) -> (Arc<Gpus>, Arc<Controls>) {
        Self::with_calibration(devices, SLOW_BUS)
    }

    /// GPUs with unlimited memory and a calibration for `auto`.
    pub fn with_calibration(devices: usize, calibration: Calibration) -> (Arc<Gpus>, Arc<Controls>) {
        let (gpus, controls) = Self::uncalibrated(devices);
        (Arc::new(gpus.with_calibration(calibration)), controls)
    }

    /// GPUs with unlimited memory that are not calibrated.
    pub fn uncalibrated(devices: usize) -> (Gpus, Arc<Controls>) {
        let properties = DeviceProperties {
            name: "Imaginary".to_owned(),
            memory_bytes: 1 << 34,
            compute_capability: (9, 0),
            multiprocessors: 2,
        };
        let controls = Arc::new(Controls {
            memory_limit: AtomicUsize::new(usize::MAX),
            pinned_limit: AtomicUsize::new(usize::MAX),
            pinned: Mutex::default(),
            compiler: AtomicBool::new(true),
            failing: Mutex::default(),
            violations: Mutex::default(),
            launches: Mutex::default(),
            htod_sources: Mutex::default(),
            dtoh_copies: AtomicUsize::new(0),
            memsets: AtomicUsize::new(0),
            on_wait: Hook::default(),
            opened: AtomicUsize::new(0),
            libraries: Mutex::default(),
        });
        let driver = Self { properties: vec![properties; devices], controls: Arc::clone(&controls) };
        (Gpus::new(Arc::new(driver)), controls)
    }
}

impl Controls {
    /// Makes a call of an operation fail, the `number`-th from now on, counted from 1. Later calls succeed.
    pub fn fail_nth(&self, operation: Operation, number: usize) {
        *self.failing.lock().unwrap() = Some((operation, number, Failing::Once));
    }

    /// As [`fail_nth`](Self::fail_nth), and the GPU is lost: later calls for it fail too.
    pub fn lose_nth(&self, operation: Operation, number: usize) {
        *self.failing.lock().unwrap() = Some((operation, number, Failing::Lost));
    }

    /// Panics if there were violations.
    pub fn assert_no_violations(&self) {
        let violations = self.violations.lock().unwrap();
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// The GPU of each kernel launch.
    pub fn launches(&self) -> Vec<usize> {
        self.launches.lock().unwrap().clone()
    }

    /// The source addresses of copies to GPUs.
    pub fn htod_sources(&self) -> Vec<usize> {
        self.htod_sources.lock().unwrap().clone()
    }

    /// The bytes of the page-locked allocations of all GPUs.
    pub fn pinned_bytes(&self) -> usize {
        self.pinned.lock().unwrap().values().sum()
    }

    /// The number of copies from GPUs.
    pub fn dtoh_copies(&self) -> usize {
        self.dtoh_copies.load(Ordering::Relaxed)
    }

    /// Calls a function whenever a thread waits for an event, before the wait ends.
    pub fn on_wait(&self, call: impl Fn() + Send + Sync + 'static) {
        *self.on_wait.0.lock().unwrap() = Some(Arc::new(call));
    }

    /// The number of memsets.
    pub fn memsets(&self) -> usize {
        self.memsets.load(Ordering::Relaxed)
    }

    /// How many times a GPU was opened.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    fn record_violation(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    /// The error of this call of the operation, if it is to fail.
    fn failure(&self, operation: Operation) -> Option<CudaError> {
        let mut failing = self.failing.lock().unwrap();
        let (_, number, how) = failing.as_mut().filter(|(which, ..)| *which == operation)?;
        *number -= 1;
        if *number > 0 {
            return None;
        }
        let what = format!("{operation:?} fails on request of the test");
        let error = match how {
            Failing::Once => CudaError::Device(what),
            Failing::Lost => CudaError::DeviceLost(what),
        };
        *failing = None;
        Some(error)
    }

    /// Compiles kernels together, which is faster than compiling each on first use.
    pub fn compile_all(&self, kernels: &[KernelSource]) {
        let mut libraries = self.libraries.lock().unwrap();
        let mut new: Vec<_> = kernels.iter().filter(|kernel| !libraries.contains_key(kernel)).collect();
        new.dedup();
        if new.is_empty() {
            return;
        }
        let mut text = format!("{}\n{PRELUDE}\n", include_str!("../../kernels/host_shim.h"));
        for (number, kernel) in new.iter().enumerate() {
            let source = kernel.text.strip_prefix(PRELUDE).unwrap();
            // Generated kernels have the same name and need different ones in one file.
            let _ = match kernel.ptx {
                Some(_) if number > 0 && new[..number].iter().any(|other| other.text == kernel.text) => {
                    Ok(())
                }
                Some(_) => text.write_str(source),
                None => text.write_str(&source.replace(&format!("{}(", kernel.name), &format!("k{number}("))),
            };
            let name = if kernel.ptx.is_some() { kernel.name.to_owned() } else { format!("k{number}") };
            let _ = writeln!(
                text,
                "extern \"C\" void launch_{number}(unsigned blocks, unsigned threads, void **arguments) {{ \
                 wf_run({name}, blocks, threads, arguments); }}"
            );
        }
        let library = Arc::new(compile_and_load(&text));
        for (number, kernel) in new.into_iter().enumerate() {
            // SAFETY: `launch_{number}` was generated above with this signature.
            let launch = unsafe { library.get::<Launch>(format!("launch_{number}").as_bytes()) }.unwrap();
            libraries.insert(kernel.clone(), (Arc::clone(&library), *launch as usize));
        }
    }
}

/// Compiles C++ source to a shared library in a folder.
fn compile_library(text: &str, folder: &Path, name: &str) -> PathBuf {
    let (file, library) = (folder.join("source.cpp"), folder.join(name));
    std::fs::write(&file, text).unwrap();
    let arguments = ["-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-o"];
    let done = std::process::Command::new("c++").args(arguments).arg(&library).arg(&file).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    library
}

/// Puts a simulated driver, `libcuda.so.1`, into a folder. It has the shipped kernels and runs them on the CPU. Processes
/// whose `LD_LIBRARY_PATH` begins with the folder load it as NVIDIA's driver. They look for `libcuda.so` first, in all
/// folders, so it has this name too.
pub fn write_driver(folder: &Path) {
    static LIBRARY: OnceLock<Vec<u8>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let text = format!(
            "{}\n{}\n{}",
            include_str!("../../kernels/host_shim.h"),
            KernelSource::shipped_text(),
            include_str!("libcuda.cpp")
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::read(compile_library(&text, folder.path(), "libcuda.so.1")).unwrap()
    });
    std::fs::write(folder.join("libcuda.so.1"), library).unwrap();
    std::os::unix::fs::symlink("libcuda.so.1", folder.join("libcuda.so")).unwrap();
}

/// Builds a simulated NVRTC in a folder, of a version such as 13000, as `libnvrtc.so.13`.
pub fn write_nvrtc(folder: &Path, version: u32) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let text = format!("#define VERSION {version}\n{}", include_str!("libnvrtc.cpp"));
    let library = compile_library(&text, folder, &format!("libnvrtc.so.{}", version / 1000));
    std::fs::remove_file(folder.join("source.cpp")).unwrap();
    library
}

/// Compiles C++ source and loads the library.
pub fn compile_and_load(text: &str) -> Library {
    let folder = tempfile::tempdir().unwrap();
    let library = compile_library(text, folder.path(), "kernels.so");
    // SAFETY: the library has only kernels and functions that call them, and loading it runs no code of its own.
    unsafe { Library::new(&library) }.unwrap()
}

impl Driver for FakeDriver {
    fn version(&self) -> String {
        "12.9".to_owned()
    }

    fn compiler(&self) -> Result<String> {
        match self.controls.compiler.load(Ordering::Relaxed) {
            true => Ok("c++".to_owned()),
            false => Err(CudaError::Missing("there is no compiler".to_owned())),
        }
    }

    fn is_real(&self) -> bool {
        false
    }

    fn devices(&self) -> &[DeviceProperties] {
        &self.properties
    }

    fn open(&self, device: usize) -> Result<Arc<dyn Device>> {
        if let Some(error) = self.controls.failure(Operation::Open) {
            return Err(error);
        }
        self.controls.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(FakeDevice {
            number: device,
            properties: self.properties[device].clone(),
            controls: Arc::clone(&self.controls),
            lost: OnceLock::new(),
            state: Mutex::default(),
        }))
    }
}

#[derive(Debug)]
struct FakeDevice {
    number: usize,
    properties: DeviceProperties,
    controls: Arc<Controls>,
    /// The error after which every call fails.
    lost: OnceLock<CudaError>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last stream or event identifier.
    last_id: u64,
    memory: BTreeMap<usize, usize>,
    pinned: BTreeMap<usize, usize>,
    modules: usize,
    /// The enqueued operations of each stream.
    streams: HashMap<u64, VecDeque<Work>>,
    /// Whether each event has completed.
    events: HashMap<u64, bool>,
}

/// An operation in a stream.
#[derive(Debug)]
enum Work {
    Copy { to: usize, from: usize, bytes: usize },
    Memset { address: usize, bytes: usize },
    Launch { function: usize, blocks: u32, threads: u32, arguments: Vec<u64> },
    Record(u64),
}

impl Work {
    /// Whether the operation accesses a range of memory.
    fn touches(&self, start: usize, bytes: usize) -> bool {
        let overlaps = |address: usize, length: usize| address < start + bytes && start < address + length;
        match self {
            Self::Copy { to, from, bytes } => overlaps(*to, *bytes) || overlaps(*from, *bytes),
            Self::Memset { address, bytes } => overlaps(*address, *bytes),
            Self::Launch { arguments, .. } => {
                arguments.iter().any(|argument| overlaps(*argument as usize, 1))
            }
            Self::Record(_) => false,
        }
    }
}

const ALIGNMENT: usize = 256;

fn allocate(bytes: usize) -> usize {
    let layout = Layout::from_size_align(bytes.max(1), ALIGNMENT).unwrap();
    // SAFETY: the size is not zero.
    let address = unsafe { std::alloc::alloc(layout) };
    assert!(!address.is_null());
    // SAFETY: the allocation has at least `bytes` bytes. They are not zeroed, so that reads of uninitialized memory
    // show.
    unsafe { address.write_bytes(0xAB, bytes) };
    address as usize
}

fn deallocate(address: usize, bytes: usize) {
    let layout = Layout::from_size_align(bytes.max(1), ALIGNMENT).unwrap();
    // SAFETY: the address is from `allocate`, with the same layout.
    unsafe {
        (address as *mut u8).write_bytes(0xCD, bytes);
        std::alloc::dealloc(address as *mut u8, layout);
    }
}

/// Whether one of the allocations contains a range.
fn contains_range(allocations: &BTreeMap<usize, usize>, start: usize, bytes: usize) -> bool {
    let before = allocations.range(..=start).next_back();
    before.is_some_and(|(address, length)| start + bytes <= address + length)
}

impl FakeDevice {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// An error if the GPU is lost.
    fn check_alive(&self) -> Result<()> {
        self.lost.get().cloned().map_or(Ok(()), Err)
    }

    /// An error if the GPU is lost, or if this call is to fail.
    fn attempt(&self, operation: Operation) -> Result<()> {
        self.check_alive()?;
        let Some(error) = self.controls.failure(operation) else { return Ok(()) };
        if let CudaError::DeviceLost(_) = error {
            let _ = self.lost.set(error.clone());
        }
        Err(error)
    }

    fn enqueue(&self, stream: Stream, work: Work) {
        match self.state().streams.get_mut(&stream.0) {
            Some(queue) => queue.push_back(work),
            None => self.controls.record_violation(format!("there is no stream {stream:?}")),
        }
    }

    /// Runs the enqueued operations of a stream, all of them or up to an event.
    fn run_stream(&self, stream: u64, until: Option<u64>) {
        loop {
            let mut state = self.state();
            let Some(work) = state.streams.get_mut(&stream).and_then(VecDeque::pop_front) else { return };
            match work {
                Work::Record(event) => {
                    state.events.insert(event, true);
                    if until == Some(event) {
                        return;
                    }
                }
                // SAFETY: the backend passes ranges within allocations and frees them only after the operation. Copies
                // between host and GPU, and calls to free, are checked for that and recorded as violations.
                Work::Copy { to, from, bytes } => unsafe {
                    std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes);
                },
                // SAFETY: as above.
                Work::Memset { address, bytes } => unsafe { (address as *mut u8).write_bytes(0, bytes) },
                Work::Launch { function, blocks, threads, mut arguments } => {
                    drop(state);
                    let mut pointers: Vec<*mut c_void> =
                        arguments.iter_mut().map(|argument| std::ptr::from_mut(argument).cast()).collect();
                    // SAFETY: the address is that of a function with this signature in a library that stays loaded.
                    let launch = unsafe { std::mem::transmute::<usize, Launch>(function) };
                    // SAFETY: the arguments are those that the backend has passed to `launch`.
                    unsafe { launch(blocks, threads, pointers.as_mut_ptr()) };
                }
            }
        }
    }

    fn free(&self, what: &str, address: usize, allocations: fn(&mut State) -> &mut BTreeMap<usize, usize>) {
        let mut state = self.state();
        let Some(bytes) = allocations(&mut state).remove(&address) else {
            return self.controls.record_violation(format!("{what} is freed that is not allocated"));
        };
        let alive = self.lost.get().is_none();
        if alive && state.streams.values().flatten().any(|work| work.touches(address, bytes)) {
            self.controls.record_violation(format!("{what} is freed while an enqueued operation uses it"));
        }
        deallocate(address, bytes);
    }
}

impl Drop for FakeDevice {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap();
        let leaks = [
            ("memory", state.memory.len()),
            ("page-locked memory", state.pinned.len()),
            ("modules", state.modules),
            ("streams", state.streams.len()),
            ("events", state.events.len()),
        ];
        for (what, count) in leaks {
            if count > 0 {
                self.controls.record_violation(format!("{count} {what} were never released"));
            }
        }
    }
}

/// Allocates memory if the total stays within a limit.
fn try_allocate(
    allocations: &mut BTreeMap<usize, usize>,
    bytes: usize,
    limit: &AtomicUsize,
    what: &str,
) -> Result<usize> {
    let used: usize = allocations.values().sum();
    if used.saturating_add(bytes) > limit.load(Ordering::Relaxed) {
        return Err(CudaError::OutOfMemory(format!("there are no {bytes} bytes of {what} left")));
    }
    let address = allocate(bytes);
    allocations.insert(address, bytes);
    Ok(address)
}

impl Device for FakeDevice {
    fn lost(&self) -> Option<CudaError> {
        self.lost.get().cloned()
    }

    fn properties(&self) -> &DeviceProperties {
        &self.properties
    }

    fn load(&self, kernel: &KernelSource) -> Result<Loaded> {
        self.check_alive()?;
        if !self.controls.compiler.load(Ordering::Relaxed) && kernel.ptx.is_none() {
            return Err(CudaError::Missing("there is no compiler".to_owned()));
        }
        self.controls.compile_all(std::slice::from_ref(kernel));
        let function = self.controls.libraries.lock().unwrap()[kernel].1 as u64;
        self.state().modules += 1;
        Ok(Loaded { module: function, function, compile_time: Duration::from_millis(1) })
    }

    unsafe fn unload(&self, _: Loaded) {
        self.state().modules -= 1;
    }

    fn allocate(&self, bytes: usize) -> Result<DeviceAddress> {
        self.check_alive()?;
        let address = try_allocate(&mut self.state().memory, bytes, &self.controls.memory_limit, "memory")?;
        Ok(DeviceAddress(address as u64))
    }

    unsafe fn free(&self, address: DeviceAddress) {
        self.free("memory", address.0 as usize, |state| &mut state.memory);
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<NonNull<u8>> {
        self.check_alive()?;
        let address =
            try_allocate(&mut self.state().pinned, bytes, &self.controls.pinned_limit, "page-locked memory")?;
        self.controls.pinned.lock().unwrap().insert(address, bytes);
        Ok(NonNull::new(address as *mut u8).unwrap())
    }

    unsafe fn free_pinned(&self, address: NonNull<u8>) {
        self.controls.pinned.lock().unwrap().remove(&(address.as_ptr() as usize));
        self.free("page-locked memory", address.as_ptr() as usize, |state| &mut state.pinned);
    }

    fn create_stream(&self) -> Result<Stream> {
        self.check_alive()?;
        let mut state = self.state();
        state.last_id += 1;
        let stream = state.last_id;
        state.streams.insert(stream, VecDeque::new());
        Ok(Stream(stream))
    }

    unsafe fn destroy_stream(&self, stream: Stream) {
        let left = self.state().streams.remove(&stream.0);
        if left.is_none_or(|work| !work.is_empty()) && self.lost.get().is_none() {
            self.controls.record_violation(
                "a stream is destroyed that has enqueued operations, or does not exist".to_owned(),
            );
        }
    }

    fn create_event(&self) -> Result<Event> {
        self.check_alive()?;
        let mut state = self.state();
        state.last_id += 1;
        let event = state.last_id;
        state.events.insert(event, true);
        Ok(Event(event))
    }

    unsafe fn destroy_event(&self, event: Event) {
        if self.state().events.remove(&event.0).is_none() {
            self.controls.record_violation("an event is destroyed that does not exist".to_owned());
        }
    }

    unsafe fn memcpy_htod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: *const u8,
        bytes: usize,
    ) -> Result<()> {
        self.attempt(Operation::MemcpyHtoD)?;
        let (to, from) = (to.0 as usize, from as usize);
        let state = self.state();
        if !contains_range(&state.memory, to, bytes)
            || !contains_range(&self.controls.pinned.lock().unwrap(), from, bytes)
        {
            self.controls.record_violation(
                "a copy to a GPU is not from page-locked memory, or not to an allocation of this GPU"
                    .to_owned(),
            );
        }
        drop(state);
        self.controls.htod_sources.lock().unwrap().push(from);
        self.enqueue(stream, Work::Copy { to, from, bytes });
        Ok(())
    }

    unsafe fn memcpy_dtoh_async(
        &self,
        stream: Stream,
        to: *mut u8,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<()> {
        self.attempt(Operation::MemcpyDtoH)?;
        let (to, from) = (to as usize, from.0 as usize);
        let state = self.state();
        if !contains_range(&state.memory, from, bytes) || !contains_range(&state.pinned, to, bytes) {
            self.controls.record_violation(
                "a copy from a GPU is not to page-locked memory, or not from an allocation of this GPU"
                    .to_owned(),
            );
        }
        drop(state);
        self.controls.dtoh_copies.fetch_add(1, Ordering::Relaxed);
        self.enqueue(stream, Work::Copy { to, from, bytes });
        Ok(())
    }

    unsafe fn memcpy_dtod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<()> {
        self.check_alive()?;
        self.enqueue(stream, Work::Copy { to: to.0 as usize, from: from.0 as usize, bytes });
        Ok(())
    }

    unsafe fn memset_async(&self, stream: Stream, address: DeviceAddress, bytes: usize) -> Result<()> {
        self.check_alive()?;
        self.controls.memsets.fetch_add(1, Ordering::Relaxed);
        self.enqueue(stream, Work::Memset { address: address.0 as usize, bytes });
        Ok(())
    }

    unsafe fn launch(
        &self,
        stream: Stream,
        kernel: Loaded,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        self.attempt(Operation::Launch)?;
        self.controls.launches.lock().unwrap().push(self.number);
        // SAFETY: all kernel arguments of the backend have 8 bytes.
        let arguments = arguments.iter().map(|argument| unsafe { argument.cast::<u64>().read() }).collect();
        self.enqueue(stream, Work::Launch { function: kernel.function as usize, blocks, threads, arguments });
        Ok(())
    }

    unsafe fn record(&self, stream: Stream, event: Event) -> Result<()> {
        self.check_alive()?;
        self.state().events.insert(event.0, false);
        self.enqueue(stream, Work::Record(event.0));
        Ok(())
    }

    unsafe fn wait(&self, event: Event) -> Result<()> {
        self.attempt(Operation::Wait)?;
        let on_wait = self.controls.on_wait.0.lock().unwrap().clone();
        if let Some(call) = on_wait {
            call();
        }
        let records_event = |work: &Work| matches!(work, Work::Record(other) if *other == event.0);
        let stream =
            self.state().streams.iter().find(|(_, queue)| queue.iter().any(records_event)).map(|(id, _)| *id);
        if let Some(stream) = stream {
            self.run_stream(stream, Some(event.0));
        }
        Ok(())
    }

    unsafe fn elapsed(&self, from: Event, to: Event) -> Result<Duration> {
        self.check_alive()?;
        let state = self.state();
        if ![from, to].iter().all(|event| state.events.get(&event.0) == Some(&true)) {
            self.controls.record_violation(
                "the elapsed time of events is queried before they have completed".to_owned(),
            );
        }
        Ok(Duration::from_micros(1))
    }

    unsafe fn synchronize(&self, stream: Stream) -> Result<()> {
        self.check_alive()?;
        self.run_stream(stream.0, None);
        Ok(())
    }
}
