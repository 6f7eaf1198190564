//! A GPU that is open, with what calls leave there for the next: kernels, streams, memory.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use warpframe_ir::metrics::Metrics;

use super::calibration::Calibration;
use super::driver::{CudaError, Device, DeviceProperties, Driver, Event, Loaded, Stream};
use super::kernel_source::KernelSource;
use super::memory::{DeviceMemory, MemoryTracker, Pinned, PinnedMemory, PinnedPool, PinnedRanges};

/// Calls that a GPU serves at a time; the others wait. Enough that copies of one meet kernels of another.
const CALLS_AT_A_TIME: usize = 4;

/// Kernels that stay loaded.
const KERNELS: usize = 256;

/// Bytes of page-locked memory that are kept for later use, besides those of slots.
const IDLE_BYTES: usize = 2 << 30;

/// The GPUs of a machine, each opened when it is first needed.
#[derive(Debug)]
pub struct Gpus {
    driver: Arc<dyn Driver>,
    open: Vec<Mutex<Option<Arc<Gpu>>>>,
    next: AtomicUsize,
    pinned: Arc<PinnedRanges>,
    calibration: OnceLock<Calibration>,
    metrics: Metrics,
}

impl Gpus {
    /// The GPUs of a driver.
    pub fn new(driver: Arc<dyn Driver>) -> Self {
        let open = driver.devices().iter().map(|_| Mutex::new(None)).collect();
        Self {
            driver,
            open,
            next: AtomicUsize::new(0),
            pinned: Arc::default(),
            calibration: OnceLock::new(),
            metrics: Metrics::default(),
        }
    }

    /// The same with a calibration that is not measured.
    pub fn with_calibration(self, calibration: Calibration) -> Self {
        Self { calibration: OnceLock::from(calibration), ..self }
    }

    /// The calibration of the machine, if it was measured or set.
    pub(super) fn calibration(&self) -> &OnceLock<Calibration> {
        &self.calibration
    }

    /// The metrics of all evaluations of this process on them.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The driver.
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    /// One after the other.
    pub(super) fn next(&self) -> Result<Arc<Gpu>, CudaError> {
        let device = self.next.fetch_add(1, Ordering::Relaxed) % self.open.len().max(1);
        let mut open = self.open[device].lock();
        match &*open {
            Some(gpu) if !gpu.failed.load(Ordering::Relaxed) => Ok(Arc::clone(gpu)),
            // Its context is of no use any more; those who still use it keep it until they notice.
            _ => Ok(Arc::clone(open.insert(Arc::new(Gpu::new(self.driver.open(device)?, &self.pinned))))),
        }
    }

    /// The bytes that this process holds, on GPUs and locked for them, in use or kept for later use.
    pub fn allocated_bytes(&self) -> usize {
        self.open.iter().filter_map(|gpu| Some(gpu.lock().as_ref()?.tracker.bytes())).sum()
    }

    /// Gives back what is kept for later use.
    pub fn trim(&self) {
        self.open.iter().filter_map(|gpu| gpu.lock().clone()).for_each(|gpu| gpu.trim());
    }
}

/// A GPU that is open.
#[derive(Debug)]
pub(super) struct Gpu {
    pub device: Arc<dyn Device>,
    tracker: Arc<MemoryTracker>,
    /// Where page-locked memory lies, this GPU's and that of others.
    pub pinned: Arc<PinnedRanges>,
    pool: Arc<PinnedPool>,
    slots: Mutex<Vec<StreamSlot>>,
    /// Loaded kernels, the latest last.
    kernels: Mutex<VecDeque<Arc<KernelEntry>>>,
    /// The device does not answer as it should.
    failed: AtomicBool,
    permits: Mutex<usize>,
    permit_returned: Condvar,
}

impl Gpu {
    fn new(device: Arc<dyn Device>, pinned: &Arc<PinnedRanges>) -> Self {
        let (tracker, pinned) = (Arc::new(MemoryTracker::default()), Arc::clone(pinned));
        let pool =
            PinnedPool::new(Arc::clone(&device), Arc::clone(&tracker), Arc::clone(&pinned), IDLE_BYTES);
        Self {
            device,
            tracker,
            pinned,
            pool: Arc::new(pool),
            slots: Mutex::default(),
            kernels: Mutex::default(),
            failed: AtomicBool::new(false),
            permits: Mutex::new(CALLS_AT_A_TIME),
            permit_returned: Condvar::new(),
        }
    }

    pub fn properties(&self) -> &DeviceProperties {
        self.device.properties()
    }

    /// Notes that the device has failed, if that is what the error says.
    pub fn mark_failed(&self, error: &CudaError) {
        if matches!(error, CudaError::Device(_)) {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    /// A place among those that use the GPU.
    pub fn acquire(&self) -> Permit<'_> {
        let mut free = self.permits.lock();
        while *free == 0 {
            self.permit_returned.wait(&mut free);
        }
        *free -= 1;
        Permit(self)
    }

    /// The kernel, loaded, and how long it was compiled for this call. It is loaded once, however many threads ask.
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
        if kernels.len() >= KERNELS {
            kernels.pop_front();
        }
        let entry = Arc::new(KernelEntry { source: source.clone(), loaded: Mutex::new(None) });
        kernels.push_back(Arc::clone(&entry));
        entry
    }

    /// A slot with so much memory.
    pub fn stream_slot(
        self: &Arc<Self>,
        bytes: SlotBytes,
        limit: usize,
    ) -> Result<StreamSlotGuard, CudaError> {
        let kept = self.slots.lock().pop();
        let slot = match kept {
            Some(slot) if slot.fits(bytes) => slot,
            Some(small) => {
                drop(small);
                self.with_room(|| StreamSlot::new(&self.device, &self.tracker, bytes, limit))?
            }
            None => self.with_room(|| StreamSlot::new(&self.device, &self.tracker, bytes, limit))?,
        };
        Ok(StreamSlotGuard { gpu: Arc::clone(self), slot: ManuallyDrop::new(slot) })
    }

    /// Page-locked memory of at least so many bytes.
    pub fn pinned(&self, bytes: usize, limit: usize) -> Result<Pinned, CudaError> {
        self.with_room(|| self.pool.take(bytes, limit))
    }

    /// Memory on the GPU.
    pub fn memory(&self, bytes: usize, limit: usize) -> Result<DeviceMemory, CudaError> {
        self.with_room(|| DeviceMemory::new(&self.device, &self.tracker, bytes, limit))
    }

    /// Tries again without what is kept for later.
    fn with_room<T>(&self, take: impl Fn() -> Result<T, CudaError>) -> Result<T, CudaError> {
        match take() {
            Err(CudaError::OutOfMemory(_)) => {
                self.trim();
                take()
            }
            other => other,
        }
    }

    /// Gives back what is kept for later use.
    pub fn trim(&self) {
        let slots = std::mem::take(&mut *self.slots.lock());
        drop(slots);
        self.pool.trim();
    }
}

/// A place among those that use a GPU.
pub(super) struct Permit<'a>(&'a Gpu);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.permits.lock() += 1;
        self.0.permit_returned.notify_one();
    }
}

/// A kernel that was asked for; loaded under its lock.
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
        // SAFETY: it came from this device. Calls hold it until they have waited for their work.
        unsafe { self.device.unload(self.loaded) };
    }
}

/// How much memory a slot has on the GPU, and locked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotBytes {
    pub device: usize,
    pub staging: usize,
}

/// A stream with memory for one chunk at both ends, and events for the borders of its parts.
#[derive(Debug)]
pub(super) struct StreamSlot {
    device: Arc<dyn Device>,
    pub stream: Stream,
    /// Before and after the copies to the GPU, after the kernel, and after the copies from it.
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
                    // SAFETY: they were just made, and nothing is in them.
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

    /// Puts work into the stream and waits for it: the time between its beginning and its end.
    pub fn timed(&self, put: impl FnOnce() -> Result<(), CudaError>) -> Result<Duration, CudaError> {
        let [begin, end, ..] = self.events;
        // SAFETY: the stream and the events are the slot's.
        unsafe { self.device.record(self.stream, begin)? };
        put()?;
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
        // SAFETY: stream and events are this slot's alone. Nothing is left in the stream after it was synchronized,
        // and a device that fails at that does nothing any more.
        unsafe {
            let _ = self.device.synchronize(self.stream);
            self.events.into_iter().for_each(|event| self.device.destroy_event(event));
            self.device.destroy_stream(self.stream);
        }
    }
}

/// A slot in use. It goes back when it is dropped, after what it still does.
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
        // SAFETY: taken once, here; nobody uses the guard after its drop.
        let slot = unsafe { ManuallyDrop::take(&mut self.slot) };
        // SAFETY: the stream is the slot's.
        match unsafe { self.gpu.device.synchronize(slot.stream) } {
            Ok(()) if !self.gpu.failed.load(Ordering::Relaxed) => self.gpu.slots.lock().push(slot),
            Ok(()) => {}
            Err(error) => self.gpu.mark_failed(&error),
        }
    }
}
