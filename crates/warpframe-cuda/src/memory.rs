//! Memory of GPUs and memory that is locked for them: owned, counted, and kept for the next call.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_buffer::Buffer;
use parking_lot::Mutex;
use warpframe_ir::memory::Reservation;

use super::driver::{CudaError, Device, DeviceAddress};

/// Counts the bytes that this process has allocated for a GPU: device and page-locked memory.
#[derive(Debug, Default)]
pub(super) struct MemoryTracker(AtomicUsize);

impl MemoryTracker {
    /// Counts bytes, if a limit allows them.
    fn allocate(self: &Arc<Self>, bytes: usize, limit: usize) -> Result<Allocation, CudaError> {
        let add = |allocated: usize| allocated.checked_add(bytes).filter(|sum| *sum <= limit);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Ok(Allocation { tracker: Arc::clone(self), bytes }),
            Err(allocated) => Err(CudaError::OutOfMemory(format!(
                "{bytes} bytes more than the {allocated} that are allocated for the GPU would be over \
                 warpframe.cuda.memory_limit, which is {limit}"
            ))),
        }
    }

    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that are counted until drop.
#[derive(Debug)]
struct Allocation {
    tracker: Arc<MemoryTracker>,
    bytes: usize,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.tracker.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Memory on a GPU; given back when it is dropped, which has to be after the work that uses it.
#[derive(Debug)]
pub(super) struct DeviceMemory {
    device: Arc<dyn Device>,
    allocation: Allocation,
    address: DeviceAddress,
}

impl DeviceMemory {
    pub fn new(
        device: &Arc<dyn Device>,
        tracker: &Arc<MemoryTracker>,
        bytes: usize,
        limit: usize,
    ) -> Result<Self, CudaError> {
        let allocation = tracker.allocate(bytes, limit)?;
        let address = device.allocate(bytes)?;
        Ok(Self { device: Arc::clone(device), allocation, address })
    }

    pub fn bytes(&self) -> usize {
        self.allocation.bytes
    }

    /// The address of a byte in it.
    pub fn at(&self, offset: usize) -> DeviceAddress {
        debug_assert!(offset <= self.allocation.bytes);
        DeviceAddress(self.address.0 + offset as u64)
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        // SAFETY: it came from this device, and whoever drops it has waited for the work with it.
        unsafe { self.device.free(self.address) };
    }
}

/// Page-locked memory; given back when it is dropped, which has to be after the work that uses it.
#[derive(Debug)]
pub(super) struct PinnedMemory {
    device: Arc<dyn Device>,
    allocation: Allocation,
    address: NonNull<u8>,
}

// SAFETY: it is plain memory with one owner.
unsafe impl Send for PinnedMemory {}
// SAFETY: shared references only read.
unsafe impl Sync for PinnedMemory {}

impl PinnedMemory {
    pub fn new(
        device: &Arc<dyn Device>,
        tracker: &Arc<MemoryTracker>,
        bytes: usize,
        limit: usize,
    ) -> Result<Self, CudaError> {
        let allocation = tracker.allocate(bytes, limit)?;
        let address = device.allocate_pinned(bytes)?;
        // SAFETY: the memory is that long. Bytes that were never written must not be read.
        unsafe { address.as_ptr().write_bytes(0, bytes) };
        Ok(Self { device: Arc::clone(device), allocation, address })
    }

    pub fn bytes(&self) -> usize {
        self.allocation.bytes
    }

    pub fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// A part of it.
    ///
    /// # Safety
    /// No work in a stream writes to that part.
    pub unsafe fn part(&self, offset: usize, bytes: usize) -> &[u8] {
        assert!(offset + bytes <= self.allocation.bytes, "a part of page-locked memory lies in it");
        // SAFETY: the range is in the memory, which was initialized; the rest is the caller's.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr().add(offset), bytes) }
    }

    /// A part of it, to be written to.
    ///
    /// # Safety
    /// No work in a stream uses that part.
    pub unsafe fn part_mut(&mut self, offset: usize, bytes: usize) -> &mut [u8] {
        assert!(offset + bytes <= self.allocation.bytes, "a part of page-locked memory lies in it");
        // SAFETY: the range is in the memory, which was initialized; the rest is the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr().add(offset), bytes) }
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        // SAFETY: it came from this device, and whoever drops it has waited for the work with it.
        unsafe { self.device.free_pinned(self.address) };
    }
}

/// Where page-locked memory lies that is in use. Every GPU copies from all of it, whichever it was locked for.
#[derive(Debug, Default)]
pub(super) struct PinnedRanges(Mutex<BTreeMap<usize, usize>>);

impl PinnedRanges {
    /// Whether a range lies in such memory.
    pub fn contain(&self, range: &[u8]) -> bool {
        let (start, used) = (range.as_ptr() as usize, self.0.lock());
        let before = used.range(..=start).next_back();
        before.is_some_and(|(address, bytes)| start + range.len() <= address + bytes)
    }

    fn add(&self, memory: &PinnedMemory) {
        self.0.lock().insert(memory.address().as_ptr() as usize, memory.bytes());
    }

    fn remove(&self, memory: &PinnedMemory) {
        self.0.lock().remove(&(memory.address().as_ptr() as usize));
    }
}

/// Page-locked memory that nobody uses, kept because locking is slow.
#[derive(Debug)]
pub(super) struct PinnedPool {
    device: Arc<dyn Device>,
    tracker: Arc<MemoryTracker>,
    idle: Mutex<Vec<PinnedMemory>>,
    /// The most bytes that are kept idle.
    most_idle: usize,
    used: Arc<PinnedRanges>,
}

impl PinnedPool {
    pub fn new(
        device: Arc<dyn Device>,
        tracker: Arc<MemoryTracker>,
        used: Arc<PinnedRanges>,
        most_idle: usize,
    ) -> Self {
        Self { device, tracker, idle: Mutex::default(), most_idle, used }
    }

    /// Memory of at least so many bytes. Its contents are those of its last use.
    pub fn take(self: &Arc<Self>, bytes: usize, limit: usize) -> Result<Pinned, CudaError> {
        let bytes = size_class(bytes);
        let kept = {
            let mut idle = self.idle.lock();
            let position = idle.iter().position(|memory| memory.bytes() == bytes);
            position.map(|position| idle.swap_remove(position))
        };
        let memory = match kept {
            Some(memory) => memory,
            None => PinnedMemory::new(&self.device, &self.tracker, bytes, limit)?,
        };
        self.used.add(&memory);
        Ok(Pinned { pool: Arc::clone(self), memory: Some(memory) })
    }

    /// Gives back what is idle.
    pub fn trim(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }

    fn put_back(&self, memory: PinnedMemory) {
        self.used.remove(&memory);
        let mut idle = self.idle.lock();
        let idle_bytes: usize = idle.iter().map(PinnedMemory::bytes).sum();
        if idle_bytes + memory.bytes() <= self.most_idle {
            idle.push(memory);
        }
    }
}

/// Page-locked memory from a pool, to which it goes back.
#[derive(Debug)]
pub(super) struct Pinned {
    pool: Arc<PinnedPool>,
    /// There until it is dropped.
    memory: Option<PinnedMemory>,
}

impl Pinned {
    /// Its first byte; dangling only while it is dropped.
    pub fn address(&self) -> NonNull<u8> {
        self.memory.as_ref().map_or(NonNull::dangling(), PinnedMemory::address)
    }

    /// Its first bytes as a buffer, which gives the memory back, and what was reserved for it, when the last
    /// reference to it is gone. Work that writes there was waited for.
    pub fn into_buffer(self, bytes: usize, reservation: Option<Box<dyn Reservation>>) -> Buffer {
        let length = self.memory.as_ref().map_or(0, PinnedMemory::bytes);
        assert!(bytes <= length, "a buffer lies in its memory");
        let address = self.address();
        // What is shared between threads is behind locks, which a panic does not leave half done.
        let owner = Arc::new(AssertUnwindSafe((self, reservation)));
        // SAFETY: the memory is that long, was initialized when it was allocated, and stays as long as its owner.
        unsafe { Buffer::from_custom_allocation(address, bytes, owner) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.put_back(memory);
        }
    }
}

/// The next of eight sizes between two powers of two, so that memory fits other calls as well and at most an eighth
/// of it is lost.
fn size_class(bytes: usize) -> usize {
    let step = (bytes.max(4096).next_power_of_two() / 16).max(4096);
    bytes.max(1).next_multiple_of(step)
}
