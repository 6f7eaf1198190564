//! A GPU that there is none of: CUDA's driver as the backend sees it, with kernels that are compiled for the CPU
//! through `kernels/host_shim.h`.
//!
//! It is as unhelpful as a driver may be. Work that was put into a stream runs only when somebody waits for it, so
//! that memory which is used again too early gives wrong answers; what is freed, or never given back, while work or
//! its owner still needs it is noted as a violation. It has as little memory, and fails as often, as a test wants.

use std::alloc::Layout;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::{c_uint, c_void};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use libloading::Library;
use warpframe::cuda::codegen::PRELUDE;
use warpframe::cuda::driver::{
    CudaError, Device, DeviceAddress, DeviceProperties, Driver, Event, Loaded, Stream,
};
use warpframe::cuda::{Calibration, Gpus, KernelSource};

type Result<T> = std::result::Result<T, CudaError>;
type Launch = unsafe extern "C" fn(c_uint, c_uint, *mut *mut c_void);

/// Whether there is a compiler for kernels.
pub fn has_compiler() -> bool {
    std::process::Command::new("c++").arg("--version").output().is_ok()
}

/// A call of the driver that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Open,
    CopyIn,
    CopyOut,
    Launch,
    Wait,
}

/// A bus of 1 MB/s, a GPU as fast as the CPU.
pub const RATES: Calibration = Calibration {
    h2d: 0.001,
    d2h: 0.001,
    stage: 10.0,
    device_copy: 1000.0,
    latency: 10_000.0,
    gpu_cheap: 0.1,
    gpu_costly: 1.0,
    cpu_cheap: 0.1,
    cpu_costly: 1.0,
    cpu_scalar: 10.0,
};

/// The driver of GPUs that are not there.
#[derive(Debug)]
pub struct FakeDriver {
    properties: Vec<DeviceProperties>,
    desk: Arc<Desk>,
}

/// Where a test says what happens, and sees what has happened.
#[derive(Debug)]
pub struct Desk {
    /// Bytes of each GPU.
    pub memory: AtomicUsize,
    /// Bytes that can be locked for each.
    pub lockable: AtomicUsize,
    /// Where memory lies that was locked, for whichever of them.
    pinned: Mutex<BTreeMap<usize, usize>>,
    /// Without it only kernels that come with the program can be loaded.
    pub compiler: AtomicBool,
    failing: Mutex<Option<(Operation, usize)>>,
    violations: Mutex<Vec<String>>,
    /// On which of the GPUs kernels were launched.
    launches: Mutex<Vec<usize>>,
    /// From where was copied to GPUs.
    sources: Mutex<Vec<usize>>,
    opened: AtomicUsize,
    libraries: Mutex<HashMap<KernelSource, (Arc<Library>, usize)>>,
}

impl FakeDriver {
    /// So many GPUs with enough memory, behind so slow a bus that `auto` never uses them.
    pub fn gpus(devices: usize) -> (Arc<Gpus>, Arc<Desk>) {
        Self::with_calibration(devices, RATES)
    }

    /// The same with rates that `auto` decides by.
    pub fn with_calibration(devices: usize, rates: Calibration) -> (Arc<Gpus>, Arc<Desk>) {
        let properties = DeviceProperties {
            name: "Imaginary".to_owned(),
            memory_bytes: 1 << 34,
            compute_capability: (9, 0),
            multiprocessors: 2,
        };
        let desk = Arc::new(Desk {
            memory: AtomicUsize::new(usize::MAX),
            lockable: AtomicUsize::new(usize::MAX),
            pinned: Mutex::default(),
            compiler: AtomicBool::new(true),
            failing: Mutex::default(),
            violations: Mutex::default(),
            launches: Mutex::default(),
            sources: Mutex::default(),
            opened: AtomicUsize::new(0),
            libraries: Mutex::default(),
        });
        let driver = Self { properties: vec![properties; devices], desk: Arc::clone(&desk) };
        (Arc::new(Gpus::new(Arc::new(driver)).with_calibration(rates)), desk)
    }
}

impl Desk {
    /// Has the operation fail that is the number-th of its kind from now on, counted from 1, and with it the GPU.
    pub fn fail(&self, operation: Operation, number: usize) {
        *self.failing.lock().unwrap() = Some((operation, number));
    }

    /// Panics if something was done that a driver does not allow.
    pub fn check(&self) {
        let violations = self.violations.lock().unwrap();
        assert!(violations.is_empty(), "{violations:#?}");
    }

    pub fn launches(&self) -> Vec<usize> {
        self.launches.lock().unwrap().clone()
    }

    pub fn sources(&self) -> Vec<usize> {
        self.sources.lock().unwrap().clone()
    }

    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    fn violation(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    /// Whether this call is the one that fails.
    fn fails(&self, operation: Operation) -> bool {
        let mut failing = self.failing.lock().unwrap();
        match &mut *failing {
            Some((which, number)) if *which == operation => {
                *number -= 1;
                let now = *number == 0;
                if now {
                    *failing = None;
                }
                now
            }
            _ => false,
        }
    }

    /// Compiles kernels in one go, which is faster than one by one when they are needed.
    pub fn prepare(&self, kernels: &[KernelSource]) {
        let mut libraries = self.libraries.lock().unwrap();
        let mut new: Vec<_> = kernels.iter().filter(|kernel| !libraries.contains_key(kernel)).collect();
        new.dedup();
        if new.is_empty() {
            return;
        }
        let mut text = format!("{}\n{PRELUDE}\n", include_str!("../../kernels/host_shim.h"));
        for (number, kernel) in new.iter().enumerate() {
            let source = kernel.text.strip_prefix(PRELUDE).unwrap();
            // Names have to differ in one file.
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
        let library = Arc::new(compiled(&text));
        for (number, kernel) in new.into_iter().enumerate() {
            // SAFETY: the function was generated with this signature.
            let launch = unsafe { library.get::<Launch>(format!("launch_{number}").as_bytes()) }.unwrap();
            libraries.insert(kernel.clone(), (Arc::clone(&library), *launch as usize));
        }
    }
}

/// C++ as a library in a folder.
fn compile(text: &str, folder: &Path, name: &str) -> PathBuf {
    let (file, library) = (folder.join("source.cpp"), folder.join(name));
    std::fs::write(&file, text).unwrap();
    let arguments = ["-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-o"];
    let done = std::process::Command::new("c++").args(arguments).arg(&library).arg(&file).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    library
}

/// Puts a `libcuda.so.1` into a folder, which has the kernels that come with the program and runs them on the CPU:
/// what the program takes for NVIDIA's driver where `LD_LIBRARY_PATH` is that folder.
pub fn write_driver(folder: &Path) {
    let text = format!(
        "{}\n{}\n{}",
        include_str!("../../kernels/host_shim.h"),
        KernelSource::shipped_text(),
        include_str!("libcuda.cpp")
    );
    compile(&text, folder, "libcuda.so.1");
}

/// C++ as a library that is loaded.
pub fn compiled(text: &str) -> Library {
    let folder = tempfile::tempdir().unwrap();
    let library = compile(text, folder.path(), "kernels.so");
    // SAFETY: a library made of the kernels and what calls them; loading it runs no code of its own.
    unsafe { Library::new(&library) }.unwrap()
}

impl Driver for FakeDriver {
    fn version(&self) -> String {
        "12.9".to_owned()
    }

    fn compiler(&self) -> Result<String> {
        match self.desk.compiler.load(Ordering::Relaxed) {
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
        if self.desk.fails(Operation::Open) {
            return Err(CudaError::Device("it does not open".to_owned()));
        }
        self.desk.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(FakeDevice {
            number: device,
            properties: self.properties[device].clone(),
            desk: Arc::clone(&self.desk),
            failed: AtomicBool::new(false),
            state: Mutex::default(),
        }))
    }
}

#[derive(Debug)]
struct FakeDevice {
    number: usize,
    properties: DeviceProperties,
    desk: Arc<Desk>,
    failed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    memory: BTreeMap<usize, usize>,
    pinned: BTreeMap<usize, usize>,
    modules: usize,
    streams: HashMap<u64, VecDeque<Work>>,
    /// Whether what is before them is done.
    events: HashMap<u64, bool>,
}

#[derive(Debug)]
enum Work {
    Copy { to: usize, from: usize, bytes: usize },
    Clear { address: usize, bytes: usize },
    Launch { function: usize, blocks: u32, threads: u32, arguments: Vec<u64> },
    Record(u64),
}

impl Work {
    fn touches(&self, start: usize, bytes: usize) -> bool {
        let meets = |address: usize, length: usize| address < start + bytes && start < address + length;
        match self {
            Self::Copy { to, from, bytes } => meets(*to, *bytes) || meets(*from, *bytes),
            Self::Clear { address, bytes } => meets(*address, *bytes),
            Self::Launch { arguments, .. } => arguments.iter().any(|argument| meets(*argument as usize, 1)),
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
    // SAFETY: it is that long. Nobody may count on zeros.
    unsafe { address.write_bytes(0xAB, bytes) };
    address as usize
}

fn release(address: usize, bytes: usize) {
    let layout = Layout::from_size_align(bytes.max(1), ALIGNMENT).unwrap();
    // SAFETY: it came from `allocate`, with the same layout.
    unsafe {
        (address as *mut u8).write_bytes(0xCD, bytes);
        std::alloc::dealloc(address as *mut u8, layout);
    }
}

/// Whether a range lies in one of the allocations.
fn within(allocations: &BTreeMap<usize, usize>, start: usize, bytes: usize) -> bool {
    let before = allocations.range(..=start).next_back();
    before.is_some_and(|(address, length)| start + bytes <= address + length)
}

impl FakeDevice {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn alive(&self) -> Result<()> {
        match self.failed.load(Ordering::Relaxed) {
            true => Err(CudaError::Device("it has failed before".to_owned())),
            false => Ok(()),
        }
    }

    fn attempt(&self, operation: Operation) -> Result<()> {
        self.alive()?;
        if self.desk.fails(operation) {
            self.failed.store(true, Ordering::Relaxed);
            return Err(CudaError::Device(format!("{operation:?} fails, as the test wants")));
        }
        Ok(())
    }

    fn put(&self, stream: Stream, work: Work) {
        match self.state().streams.get_mut(&stream.0) {
            Some(queue) => queue.push_back(work),
            None => self.desk.violation(format!("there is no stream {stream:?}")),
        }
    }

    /// Does what is in a stream, up to an event if there is one.
    fn work(&self, stream: u64, until: Option<u64>) {
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
                // SAFETY: both ranges were checked when the work was put there, and are checked when they are freed.
                Work::Copy { to, from, bytes } => unsafe {
                    std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes);
                },
                // SAFETY: as above.
                Work::Clear { address, bytes } => unsafe { (address as *mut u8).write_bytes(0, bytes) },
                Work::Launch { function, blocks, threads, mut arguments } => {
                    drop(state);
                    let mut pointers: Vec<*mut c_void> =
                        arguments.iter_mut().map(|argument| std::ptr::from_mut(argument).cast()).collect();
                    // SAFETY: it is the address of a function of this signature, whose library stays.
                    let launch = unsafe { std::mem::transmute::<usize, Launch>(function) };
                    // SAFETY: the arguments are those that the backend has given.
                    unsafe { launch(blocks, threads, pointers.as_mut_ptr()) };
                }
            }
        }
    }

    fn free(&self, what: &str, address: usize, allocations: fn(&mut State) -> &mut BTreeMap<usize, usize>) {
        let mut state = self.state();
        let Some(bytes) = allocations(&mut state).remove(&address) else {
            return self.desk.violation(format!("{what} is freed that is not there"));
        };
        let alive = !self.failed.load(Ordering::Relaxed);
        if alive && state.streams.values().flatten().any(|work| work.touches(address, bytes)) {
            self.desk.violation(format!("{what} is freed while work needs it"));
        }
        release(address, bytes);
    }
}

impl Drop for FakeDevice {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap();
        let left = [
            ("memory", state.memory.len()),
            ("page-locked memory", state.pinned.len()),
            ("modules", state.modules),
            ("streams", state.streams.len()),
            ("events", state.events.len()),
        ];
        for (what, count) in left {
            if count > 0 {
                self.desk.violation(format!("{count} {what} were never given back"));
            }
        }
    }
}

fn take(
    allocations: &mut BTreeMap<usize, usize>,
    bytes: usize,
    most: &AtomicUsize,
    what: &str,
) -> Result<usize> {
    let used: usize = allocations.values().sum();
    if used.saturating_add(bytes) > most.load(Ordering::Relaxed) {
        return Err(CudaError::OutOfMemory(format!("there are no {bytes} bytes of {what} left")));
    }
    let address = allocate(bytes);
    allocations.insert(address, bytes);
    Ok(address)
}

impl Device for FakeDevice {
    fn properties(&self) -> &DeviceProperties {
        &self.properties
    }

    fn load(&self, kernel: &KernelSource) -> Result<Loaded> {
        self.alive()?;
        if !self.desk.compiler.load(Ordering::Relaxed) && kernel.ptx.is_none() {
            return Err(CudaError::Missing("there is no compiler".to_owned()));
        }
        self.desk.prepare(std::slice::from_ref(kernel));
        let function = self.desk.libraries.lock().unwrap()[kernel].1 as u64;
        self.state().modules += 1;
        Ok(Loaded { module: function, function, compile_time: Duration::from_millis(1) })
    }

    unsafe fn unload(&self, _: Loaded) {
        self.state().modules -= 1;
    }

    fn allocate(&self, bytes: usize) -> Result<DeviceAddress> {
        self.alive()?;
        let address = take(&mut self.state().memory, bytes, &self.desk.memory, "memory")?;
        Ok(DeviceAddress(address as u64))
    }

    unsafe fn free(&self, address: DeviceAddress) {
        self.free("memory", address.0 as usize, |state| &mut state.memory);
    }

    fn allocate_pinned(&self, bytes: usize) -> Result<NonNull<u8>> {
        self.alive()?;
        let address = take(&mut self.state().pinned, bytes, &self.desk.lockable, "page-locked memory")?;
        self.desk.pinned.lock().unwrap().insert(address, bytes);
        Ok(NonNull::new(address as *mut u8).unwrap())
    }

    unsafe fn free_pinned(&self, address: NonNull<u8>) {
        self.desk.pinned.lock().unwrap().remove(&(address.as_ptr() as usize));
        self.free("page-locked memory", address.as_ptr() as usize, |state| &mut state.pinned);
    }

    fn create_stream(&self) -> Result<Stream> {
        self.alive()?;
        let mut state = self.state();
        state.last += 1;
        let stream = state.last;
        state.streams.insert(stream, VecDeque::new());
        Ok(Stream(stream))
    }

    unsafe fn destroy_stream(&self, stream: Stream) {
        let left = self.state().streams.remove(&stream.0);
        if left.is_none_or(|work| !work.is_empty()) && !self.failed.load(Ordering::Relaxed) {
            self.desk.violation("a stream is destroyed that has work in it, or is not there".to_owned());
        }
    }

    fn create_event(&self) -> Result<Event> {
        self.alive()?;
        let mut state = self.state();
        state.last += 1;
        let event = state.last;
        state.events.insert(event, true);
        Ok(Event(event))
    }

    unsafe fn destroy_event(&self, event: Event) {
        if self.state().events.remove(&event.0).is_none() {
            self.desk.violation("an event is destroyed that is not there".to_owned());
        }
    }

    unsafe fn memcpy_htod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: *const u8,
        bytes: usize,
    ) -> Result<()> {
        self.attempt(Operation::CopyIn)?;
        let (to, from) = (to.0 as usize, from as usize);
        let state = self.state();
        if !within(&state.memory, to, bytes) || !within(&self.desk.pinned.lock().unwrap(), from, bytes) {
            self.desk
                .violation("a copy to the GPU is not from page-locked memory, or not to its own".to_owned());
        }
        drop(state);
        self.desk.sources.lock().unwrap().push(from);
        self.put(stream, Work::Copy { to, from, bytes });
        Ok(())
    }

    unsafe fn memcpy_dtoh_async(
        &self,
        stream: Stream,
        to: *mut u8,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<()> {
        self.attempt(Operation::CopyOut)?;
        let (to, from) = (to as usize, from.0 as usize);
        let state = self.state();
        if !within(&state.memory, from, bytes) || !within(&state.pinned, to, bytes) {
            self.desk
                .violation("a copy from the GPU is not to page-locked memory, or not of its own".to_owned());
        }
        drop(state);
        self.put(stream, Work::Copy { to, from, bytes });
        Ok(())
    }

    unsafe fn memcpy_dtod_async(
        &self,
        stream: Stream,
        to: DeviceAddress,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<()> {
        self.alive()?;
        self.put(stream, Work::Copy { to: to.0 as usize, from: from.0 as usize, bytes });
        Ok(())
    }

    unsafe fn memset_async(&self, stream: Stream, address: DeviceAddress, bytes: usize) -> Result<()> {
        self.alive()?;
        self.put(stream, Work::Clear { address: address.0 as usize, bytes });
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
        self.desk.launches.lock().unwrap().push(self.number);
        // SAFETY: all arguments that the backend gives have 8 bytes.
        let arguments = arguments.iter().map(|argument| unsafe { argument.cast::<u64>().read() }).collect();
        self.put(stream, Work::Launch { function: kernel.function as usize, blocks, threads, arguments });
        Ok(())
    }

    unsafe fn record(&self, stream: Stream, event: Event) -> Result<()> {
        self.alive()?;
        self.state().events.insert(event.0, false);
        self.put(stream, Work::Record(event.0));
        Ok(())
    }

    unsafe fn wait(&self, event: Event) -> Result<()> {
        self.attempt(Operation::Wait)?;
        let is_it = |work: &Work| matches!(work, Work::Record(other) if *other == event.0);
        let found = self.state().streams.iter().find(|(_, queue)| queue.iter().any(is_it)).map(|(id, _)| *id);
        if let Some(stream) = found {
            self.work(stream, Some(event.0));
        }
        Ok(())
    }

    unsafe fn elapsed(&self, from: Event, to: Event) -> Result<Duration> {
        self.alive()?;
        let state = self.state();
        if ![from, to].iter().all(|event| state.events.get(&event.0) == Some(&true)) {
            self.desk.violation("a time is asked for that is not over".to_owned());
        }
        Ok(Duration::from_micros(1))
    }

    unsafe fn synchronize(&self, stream: Stream) -> Result<()> {
        self.alive()?;
        self.work(stream.0, None);
        Ok(())
    }
}
