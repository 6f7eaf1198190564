//! A GPU that is open, with what calls leave there for the next: kernels, streams, memory.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use datafusion::common::Result;
use parking_lot::{Condvar, Mutex};

use super::counters::Counters;
use super::driver::{CudaError, Device, DeviceProperties, Driver, Event, Loaded, Stream};
use super::kernels::Kernel;
use super::memory::{DeviceMemory, Held, Pinned, PinnedMemory, PinnedPool, PinnedRanges};
use super::rates::Rates;

/// Calls that a GPU serves at a time; the others wait. Enough that copies of one meet kernels of another.
const CALLS_AT_A_TIME: usize = 4;

/// Kernels that stay loaded.
const KERNELS: usize = 256;

/// Bytes of page-locked memory that are kept for later use, besides those of lanes.
const IDLE_BYTES: usize = 2 << 30;

/// The GPUs of a machine, each opened when it is first needed.
#[derive(Debug)]
pub struct Gpus {
    driver: Arc<dyn Driver>,
    open: Vec<Mutex<Option<Arc<Gpu>>>>,
    next: AtomicUsize,
    pinned: Arc<PinnedRanges>,
    rates: OnceLock<Rates>,
    counters: Counters,
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
            rates: OnceLock::new(),
            counters: Counters::default(),
        }
    }

    /// The same with rates that are not measured.
    pub fn with_rates(self, rates: Rates) -> Self {
        Self { rates: OnceLock::from(rates), ..self }
    }

    /// How fast they are; measured once for a machine.
    ///
    /// # Errors
    /// The GPU does not answer.
    pub fn rates(self: &Arc<Self>) -> Result<Rates> {
        if let Some(known) = self.rates.get() {
            return Ok(*known);
        }
        let rates = Rates::known_or_measured(self)?;
        Ok(*self.rates.get_or_init(|| rates))
    }

    /// What all queries of this process have done on them.
    pub fn counters(&self) -> &Counters {
        &self.counters
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
    pub fn held_bytes(&self) -> usize {
        self.open.iter().filter_map(|gpu| Some(gpu.lock().as_ref()?.held.bytes())).sum()
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
    held: Arc<Held>,
    /// Where page-locked memory lies, this GPU's and that of others.
    pub pinned: Arc<PinnedRanges>,
    pool: Arc<PinnedPool>,
    lanes: Mutex<Vec<Lane>>,
    kernels: Mutex<VecDeque<Arc<LoadedKernel>>>,
    /// The device does not answer as it should.
    failed: AtomicBool,
    turns: Mutex<usize>,
    turn_over: Condvar,
}

impl Gpu {
    fn new(device: Arc<dyn Device>, pinned: &Arc<PinnedRanges>) -> Self {
        let (held, pinned) = (Arc::new(Held::default()), Arc::clone(pinned));
        let pool = PinnedPool::new(Arc::clone(&device), Arc::clone(&held), Arc::clone(&pinned), IDLE_BYTES);
        Self {
            device,
            held,
            pinned,
            pool: Arc::new(pool),
            lanes: Mutex::default(),
            kernels: Mutex::default(),
            failed: AtomicBool::new(false),
            turns: Mutex::new(CALLS_AT_A_TIME),
            turn_over: Condvar::new(),
        }
    }

    pub fn properties(&self) -> &DeviceProperties {
        self.device.properties()
    }

    /// Notes that the device has failed, if that is what the error says.
    pub fn judge(&self, error: &CudaError) {
        if matches!(error, CudaError::Device(_)) {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    /// A place among those that use the GPU.
    pub fn turn(&self) -> Turn<'_> {
        let mut free = self.turns.lock();
        while *free == 0 {
            self.turn_over.wait(&mut free);
        }
        *free -= 1;
        Turn(self)
    }

    /// The kernel, loaded, and how long it was compiled for this call.
    pub fn kernel(&self, kernel: &Kernel) -> Result<(Arc<LoadedKernel>, Duration), CudaError> {
        let known = |kernels: &VecDeque<Arc<LoadedKernel>>| {
            kernels.iter().find(|known| known.kernel == *kernel).map(Arc::clone)
        };
        if let Some(known) = known(&self.kernels.lock()) {
            return Ok((known, Duration::ZERO));
        }
        // Not locked meanwhile: others can go on. Two calls may then load the same kernel, which is only slow.
        let loaded = self.device.load(kernel)?;
        let made =
            Arc::new(LoadedKernel { device: Arc::clone(&self.device), kernel: kernel.clone(), loaded });
        let mut kernels = self.kernels.lock();
        if kernels.len() >= KERNELS {
            kernels.pop_front();
        }
        kernels.push_back(Arc::clone(&made));
        Ok((made, loaded.compile_time))
    }

    /// A lane with so much memory.
    pub fn lane(self: &Arc<Self>, bytes: LaneBytes, limit: usize) -> Result<LaneGuard, CudaError> {
        let kept = self.lanes.lock().pop();
        let lane = match kept {
            Some(lane) if lane.fits(bytes) => lane,
            Some(small) => {
                drop(small);
                self.with_room(|| Lane::new(&self.device, &self.held, bytes, limit))?
            }
            None => self.with_room(|| Lane::new(&self.device, &self.held, bytes, limit))?,
        };
        Ok(LaneGuard { gpu: Arc::clone(self), lane: ManuallyDrop::new(lane) })
    }

    /// Page-locked memory of at least so many bytes.
    pub fn pinned(&self, bytes: usize, limit: usize) -> Result<Pinned, CudaError> {
        self.with_room(|| self.pool.take(bytes, limit))
    }

    /// Memory on the GPU.
    pub fn memory(&self, bytes: usize, limit: usize) -> Result<DeviceMemory, CudaError> {
        self.with_room(|| DeviceMemory::new(&self.device, &self.held, bytes, limit))
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
        let lanes = std::mem::take(&mut *self.lanes.lock());
        drop(lanes);
        self.pool.trim();
    }
}

/// A place among those that use a GPU.
pub(super) struct Turn<'a>(&'a Gpu);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.turns.lock() += 1;
        self.0.turn_over.notify_one();
    }
}

/// A kernel on a GPU.
#[derive(Debug)]
pub(super) struct LoadedKernel {
    device: Arc<dyn Device>,
    kernel: Kernel,
    pub loaded: Loaded,
}

impl Drop for LoadedKernel {
    fn drop(&mut self) {
        // SAFETY: it came from this device. Calls hold it until they have waited for their work.
        unsafe { self.device.unload(self.loaded) };
    }
}

/// How much memory a lane has on the GPU, and locked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneBytes {
    pub device: usize,
    pub staging: usize,
}

/// A stream with memory for one chunk at both ends, and events for the borders of its parts.
#[derive(Debug)]
pub(super) struct Lane {
    device: Arc<dyn Device>,
    pub stream: Stream,
    /// Before and after the copies to the GPU, after the kernel, and after the copies from it.
    pub events: [Event; 4],
    pub memory: DeviceMemory,
    pub staging: PinnedMemory,
}

impl Lane {
    fn new(
        device: &Arc<dyn Device>,
        held: &Arc<Held>,
        bytes: LaneBytes,
        limit: usize,
    ) -> Result<Self, CudaError> {
        let memory = DeviceMemory::new(device, held, bytes.device, limit)?;
        let staging = PinnedMemory::new(device, held, bytes.staging, limit)?;
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
        // SAFETY: the stream and the events are the lane's.
        unsafe { self.device.record(self.stream, begin)? };
        put()?;
        // SAFETY: as above.
        unsafe {
            self.device.record(self.stream, end)?;
            self.device.wait(end)?;
            self.device.elapsed(begin, end)
        }
    }

    fn fits(&self, bytes: LaneBytes) -> bool {
        bytes.device <= self.memory.bytes() && bytes.staging <= self.staging.bytes()
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // SAFETY: stream and events are this lane's alone. Nothing is left in the stream after it was synchronized,
        // and a device that fails at that does nothing any more.
        unsafe {
            let _ = self.device.synchronize(self.stream);
            self.events.into_iter().for_each(|event| self.device.destroy_event(event));
            self.device.destroy_stream(self.stream);
        }
    }
}

/// A lane in use. It goes back when it is dropped, after what it still does.
#[derive(Debug)]
pub(super) struct LaneGuard {
    gpu: Arc<Gpu>,
    lane: ManuallyDrop<Lane>,
}

impl Deref for LaneGuard {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        &self.lane
    }
}

impl DerefMut for LaneGuard {
    fn deref_mut(&mut self) -> &mut Lane {
        &mut self.lane
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        // SAFETY: taken once, here; nobody uses the guard after its drop.
        let lane = unsafe { ManuallyDrop::take(&mut self.lane) };
        // SAFETY: the stream is the lane's.
        match unsafe { self.gpu.device.synchronize(lane.stream) } {
            Ok(()) if !self.gpu.failed.load(Ordering::Relaxed) => self.gpu.lanes.lock().push(lane),
            Ok(()) => {}
            Err(error) => self.gpu.judge(&error),
        }
    }
}
