//! Open GPUs, with the resources that evaluations share or reuse: loaded kernels, stream slots and page-locked memory.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use warpframe_ir::error::Error;
use warpframe_ir::metrics::Metrics;

use super::calibration::Calibration;
use super::driver::{CudaError, Device, DeviceProperties, Driver, Event, Loaded, Stream};
use super::kernel_source::KernelSource;
use super::memory::{DeviceMemory, MemoryTracker, PinnedMemory};
use super::pinned_pool::{Pinned, PinnedPool, PinnedRanges};

/// The maximum number of concurrent evaluations on a GPU; others wait. It is large enough for copies of one to overlap with
/// kernels of another.
const MAX_CONCURRENT_EVALUATIONS: usize = 4;

/// The maximum number of kernels that stay loaded on a GPU.
const MAX_LOADED_KERNELS: usize = 256;

/// The maximum number of bytes of unused page-locked memory that the pool of a GPU keeps.
const MAX_IDLE_BYTES: usize = 2 << 30;

/// The GPUs of a machine. A GPU is opened at its first use.
#[derive(Debug)]
pub struct Gpus {
    driver: Arc<dyn Driver>,
    states: Vec<Mutex<State>>,
    next: AtomicUsize,
    pinned: Arc<PinnedRanges>,
    /// The calibration, or why the machine cannot be calibrated.
    calibration: OnceLock<Result<Calibration, Error>>,
    metrics: Metrics,
}

impl Gpus {
    /// The GPUs of a driver.
    pub fn new(driver: Arc<dyn Driver>) -> Self {
        let states = driver.devices().iter().map(|_| Mutex::new(State::Closed)).collect();
        Self {
            driver,
            states,
            next: AtomicUsize::new(0),
            pinned: Arc::default(),
            calibration: OnceLock::new(),
            metrics: Metrics::default(),
        }
    }

    /// Sets the calibration, which is then not measured.
    pub fn with_calibration(self, calibration: Calibration) -> Self {
        Self { calibration: OnceLock::from(Ok(calibration)), ..self }
    }

    /// Sets the limit of the page-locked memory that this process allocates for results and pinned columns, in use or
    /// pooled, for all GPUs together, in bytes. By default it is a quarter of the physical memory of the host. Results that
    /// would exceed it are in ordinary memory.
    pub fn limit_pinned_memory(&self, bytes: usize) {
        self.pinned.set_limit(bytes);
    }

    /// The calibration of the machine, if it was measured or set, or the error of the attempt to measure it.
    pub(super) fn calibration(&self) -> &OnceLock<Result<Calibration, Error>> {
        &self.calibration
    }

    /// The metrics of all evaluations on these GPUs.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The driver.
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    /// The next GPU in round-robin order, opened at its first use. GPUs that are lost are left out.
    ///
    /// # Errors
    /// The GPU cannot be opened, or all are lost.
    pub(super) fn next(&self) -> Result<Arc<Gpu>, CudaError> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut lost = None;
        for number in 0..self.states.len() {
            let device = (first + number) % self.states.len();
            match self.open(device) {
                Err(error @ CudaError::DeviceLost(_)) => lost = lost.or(Some(error)),
                other => return other,
            }
        }
        Err(lost.unwrap_or_else(|| CudaError::Missing("there is no GPU".to_owned())))
    }

    /// A GPU, opened if it is closed.
    fn open(&self, device: usize) -> Result<Arc<Gpu>, CudaError> {
        let mut state = self.states[device].lock();
        state.update();
        match &*state {
            State::Open(gpu) => Ok(Arc::clone(gpu)),
            State::Lost(error) => Err(error.clone()),
            State::Closed => match self.driver.open(device) {
                Ok(opened) => {
                    let gpu = Arc::new(Gpu::new(opened, &self.pinned));
                    *state = State::Open(Arc::clone(&gpu));
                    Ok(gpu)
                }
                Err(error) => {
                    if let CudaError::DeviceLost(_) = error {
                        *state = State::Lost(error.clone());
                    }
                    Err(error)
                }
            },
        }
    }

    /// Why this process cannot use any GPU any more: what has happened to the first one. `None` while one can be used.
    pub fn lost(&self) -> Option<String> {
        let mut first = None;
        for state in &self.states {
            let mut state = state.lock();
            state.update();
            match &*state {
                State::Lost(CudaError::DeviceLost(what)) => first = first.or_else(|| Some(what.clone())),
                _ => return None,
            }
        }
        first
    }

    /// The open GPUs.
    fn opened(&self) -> impl Iterator<Item = Arc<Gpu>> {
        self.states.iter().filter_map(|state| match &*state.lock() {
            State::Open(gpu) => Some(Arc::clone(gpu)),
            _ => None,
        })
    }

    /// The bytes of device memory and page-locked memory that this process has allocated, in use or pooled.
    pub fn allocated_bytes(&self) -> usize {
        self.opened().map(|gpu| gpu.tracker.bytes()).sum()
    }

    /// Frees pooled memory and stream slots that are not in use.
    pub fn trim(&self) {
        self.opened().for_each(|gpu| gpu.trim());
    }
}

/// Whether a GPU can be used.
#[derive(Debug)]
enum State {
    /// It was not used yet.
    Closed,
    Open(Arc<Gpu>),
    /// It has failed with this error, which is [`CudaError::DeviceLost`].
    Lost(CudaError),
}

impl State {
    /// Replaces an open GPU that is lost. Evaluations that still use it have a reference, and fail.
    fn update(&mut self) {
        if let Self::Open(gpu) = self
            && let Some(error) = gpu.device.lost()
        {
            *self = Self::Lost(error);
        }
    }
}

/// An open GPU, with its resources.
#[derive(Debug)]
pub(super) struct Gpu {
    pub device: Arc<dyn Device>,
    tracker: Arc<MemoryTracker>,
    /// The page-locked memory in use, of all GPUs.
    pub pinned_ranges: Arc<PinnedRanges>,
    pool: Arc<PinnedPool>,
    /// Stream slots that are not in use.
    slots: Mutex<Vec<StreamSlot>>,
    /// Kernels, in the order in which they were first requested. The first one is evicted if there are too many.
    kernels: Mutex<VecDeque<Arc<KernelEntry>>>,
    /// The number of free permits.
    permits: Mutex<usize>,
    permit_returned: Condvar,
}

impl Gpu {
    fn new(device: Arc<dyn Device>, pinned_ranges: &Arc<PinnedRanges>) -> Self {
        let (tracker, pinned_ranges) = (Arc::new(MemoryTracker::default()), Arc::clone(pinned_ranges));
        let (pool_device, pool_tracker) = (Arc::clone(&device), Arc::clone(&tracker));
        let pool = PinnedPool::new(pool_device, pool_tracker, Arc::clone(&pinned_ranges), MAX_IDLE_BYTES);
        Self {
            device,
            tracker,
            pinned_ranges,
            pool: Arc::new(pool),
            slots: Mutex::default(),
            kernels: Mutex::default(),
            permits: Mutex::new(MAX_CONCURRENT_EVALUATIONS),
            permit_returned: Condvar::new(),
        }
    }

    pub fn properties(&self) -> &DeviceProperties {
        self.device.properties()
    }

    /// Blocks until fewer than [`MAX_CONCURRENT_EVALUATIONS`] permits are in use, and takes one.
    pub fn acquire(&self) -> Permit<'_> {
        let mut permits = self.permits.lock();
        while *permits == 0 {
            self.permit_returned.wait(&mut permits);
        }
        *permits -= 1;
        Permit(self)
    }

    /// The kernel, loaded, and the time that this call spent compiling it. Concurrent calls load a kernel only once.
    ///
    /// # Errors
    /// The kernel cannot be compiled or loaded.
    pub fn kernel(&self, source: &KernelSource) -> Result<(Arc<LoadedKernel>, Duration), CudaError> {
        let entry = self.kernel_entry(source);
        let mut loaded = entry.loaded.lock();
        if let Some(kernel) = &*loaded {
            return Ok((Arc::clone(kernel), Duration::ZERO));
        }
        let new = self.device.load(source)?;
        let kernel = Arc::new(LoadedKernel { device: Arc::clone(&self.device), loaded: new });
        *loaded = Some(Arc::clone(&kernel));
        Ok((kernel, new.compile_time))
    }

    fn kernel_entry(&self, source: &KernelSource) -> Arc<KernelEntry> {
        let mut kernels = self.kernels.lock();
        if let Some(known) = kernels.iter().find(|known| known.source == *source) {
            return Arc::clone(known);
        }
        if kernels.len() >= MAX_LOADED_KERNELS {
            kernels.pop_front();
        }
        let entry = Arc::new(KernelEntry { source: source.clone(), loaded: Mutex::new(None) });
        kernels.push_back(Arc::clone(&entry));
        entry
    }

    /// Takes a stream slot with at least this much memory, an unused one if it is large enough, else a new one.
    ///
    /// # Errors
    /// The memory is exhausted, or would exceed the limit, or the device has failed.
    pub fn stream_slot(
        self: &Arc<Self>,
        bytes: SlotBytes,
        limit: usize,
    ) -> Result<StreamSlotGuard, CudaError> {
        let unused = self.slots.lock().pop();
        let slot = match unused {
            Some(slot) if slot.fits(bytes) => slot,
            Some(too_small) => {
                drop(too_small);
                self.retry_after_trim(|| StreamSlot::new(&self.device, &self.tracker, bytes, limit))?
            }
            None => self.retry_after_trim(|| StreamSlot::new(&self.device, &self.tracker, bytes, limit))?,
        };
        Ok(StreamSlotGuard { gpu: Arc::clone(self), slot: ManuallyDrop::new(slot) })
    }

    /// Page-locked memory of at least `bytes` bytes.
    ///
    /// # Errors
    /// The memory is exhausted, or would exceed the limit.
    pub fn pinned(&self, bytes: usize, limit: usize) -> Result<Pinned, CudaError> {
        self.retry_after_trim(|| self.pool.allocate(bytes, limit))
    }

    /// Device memory of `bytes` bytes.
    ///
    /// # Errors
    /// The memory is exhausted, or would exceed the limit.
    pub fn memory(&self, bytes: usize, limit: usize) -> Result<DeviceMemory, CudaError> {
        self.retry_after_trim(|| DeviceMemory::new(&self.device, &self.tracker, bytes, limit))
    }

    /// Allocates, a second time after [`trim`](Self::trim) if the first fails for lack of memory.
    fn retry_after_trim<T>(&self, allocate: impl Fn() -> Result<T, CudaError>) -> Result<T, CudaError> {
        match allocate() {
            Err(CudaError::OutOfMemory(_)) => {
                self.trim();
                allocate()
            }
            other => other,
        }
    }

    /// Frees pooled memory and stream slots that are not in use.
    pub fn trim(&self) {
        let slots = std::mem::take(&mut *self.slots.lock());
        drop(slots);
        self.pool.trim();
    }
}

/// The right to evaluate on a GPU; returned on drop.
pub(super) struct Permit<'a>(&'a Gpu);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.permits.lock() += 1;
        self.0.permit_returned.notify_one();
    }
}

/// A requested kernel. It is loaded while the lock is held, so that other requests wait for it.
#[derive(Debug)]
struct KernelEntry {
    source: KernelSource,
    loaded: Mutex<Option<Arc<LoadedKernel>>>,
}

/// A kernel loaded on a GPU.
#[derive(Debug)]
pub(super) struct LoadedKernel {
    device: Arc<dyn Device>,
    pub loaded: Loaded,
}

impl Drop for LoadedKernel {
    fn drop(&mut self) {
        // SAFETY: it was loaded by this device. Evaluations hold a reference until their launches have completed.
        unsafe { self.device.unload(self.loaded) };
    }
}

/// The sizes of a stream slot's device memory and page-locked staging memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotBytes {
    pub device: usize,
    pub staging: usize,
}

/// A stream with device memory and page-locked staging memory for a chunk, and the events that delimit its stages.
#[derive(Debug)]
pub(super) struct StreamSlot {
    device: Arc<dyn Device>,
    pub stream: Stream,
    /// Recorded before and after the copies to the GPU, after the kernel, and after the copies from the GPU.
    pub events: [Event; 4],
    pub memory: DeviceMemory,
    pub staging: PinnedMemory,
}

impl StreamSlot {
    fn new(
        device: &Arc<dyn Device>,
        tracker: &Arc<MemoryTracker>,
        bytes: SlotBytes,
        limit: usize,
    ) -> Result<Self, CudaError> {
        let memory = DeviceMemory::new(device, tracker, bytes.device, limit)?;
        let staging = PinnedMemory::new(device, tracker, bytes.staging, limit)?;
        let stream = device.create_stream()?;
        let mut events = Vec::with_capacity(4);
        for _ in 0..4 {
            match device.create_event() {
                Ok(event) => events.push(event),
                Err(error) => {
                    // SAFETY: they were created by this device, and are not in use.
                    unsafe {
                        events.into_iter().for_each(|event| device.destroy_event(event));
                        device.destroy_stream(stream);
                    }
                    return Err(error);
                }
            }
        }
        let events = [events[0], events[1], events[2], events[3]];
        Ok(Self { device: Arc::clone(device), stream, events, memory, staging })
    }

    pub fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// Enqueues operations, blocks until they have completed, and returns their execution time.
    ///
    /// # Errors
    /// `enqueue` fails, or the device does.
    pub fn timed(&self, enqueue: impl FnOnce() -> Result<(), CudaError>) -> Result<Duration, CudaError> {
        let [begin, end, ..] = self.events;
        // SAFETY: the stream and the events belong to the slot, and were created by its device.
        unsafe { self.device.record(self.stream, begin)? };
        enqueue()?;
        // SAFETY: as above.
        unsafe {
            self.device.record(self.stream, end)?;
            self.device.wait(end)?;
            self.device.elapsed(begin, end)
        }
    }

    fn fits(&self, bytes: SlotBytes) -> bool {
        bytes.device <= self.memory.bytes() && bytes.staging <= self.staging.bytes()
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        // SAFETY: the stream and the events are used only by this slot. No operation is pending after `synchronize`; if it
        // fails, the device has failed and executes nothing any more.
        unsafe {
            let _ = self.device.synchronize(self.stream);
            self.events.into_iter().for_each(|event| self.device.destroy_event(event));
            self.device.destroy_stream(self.stream);
        }
    }
}

/// A stream slot in use. On drop it waits for pending operations, and returns the slot to the GPU.
#[derive(Debug)]
pub(super) struct StreamSlotGuard {
    gpu: Arc<Gpu>,
    slot: ManuallyDrop<StreamSlot>,
}

impl Deref for StreamSlotGuard {
    type Target = StreamSlot;

    fn deref(&self) -> &StreamSlot {
        &self.slot
    }
}

impl DerefMut for StreamSlotGuard {
    fn deref_mut(&mut self) -> &mut StreamSlot {
        &mut self.slot
    }
}

impl Drop for StreamSlotGuard {
    fn drop(&mut self) {
        // SAFETY: it is taken only here, and the guard is not used after its drop.
        let slot = unsafe { ManuallyDrop::take(&mut self.slot) };
        // SAFETY: the stream was created by this device.
        if unsafe { self.gpu.device.synchronize(slot.stream) }.is_ok() {
            self.gpu.slots.lock().push(slot);
        }
    }
}
