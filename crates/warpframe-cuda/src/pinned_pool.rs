//! A pool of page-locked memory for results and columns, because page-locking is slow.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_buffer::Buffer;
use parking_lot::Mutex;
use warpframe_ir::memory::Reservation;

use super::driver::{CudaError, Device};
use super::memory::{Allocation, MemoryTracker, PinnedMemory};

/// The name of the limit of the bytes in pools of page-locked memory.
const PINNED_LIMIT: &str = "the limit of page-locked memory, a quarter of the host's memory";

/// The page-locked memory of the pools of all GPUs: the address ranges in use, which all GPUs access directly, whichever
/// context allocated them, and the limit of all bytes, in use or not.
#[derive(Debug)]
pub(super) struct PinnedRanges {
    /// Addresses and lengths.
    used: Mutex<BTreeMap<usize, usize>>,
    tracker: Arc<MemoryTracker>,
    limit: AtomicUsize,
}

impl Default for PinnedRanges {
    /// With a limit of a quarter of the host's memory.
    fn default() -> Self {
        let limit = host_memory_bytes().map_or(usize::MAX, |bytes| bytes / 4);
        Self { used: Mutex::default(), tracker: Arc::default(), limit: AtomicUsize::new(limit) }
    }
}

impl PinnedRanges {
    /// Sets the limit of the bytes in the pools.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Whether a slice is within one of the ranges.
    pub fn contains(&self, slice: &[u8]) -> bool {
        let (start, ranges) = (slice.as_ptr() as usize, self.used.lock());
        let candidate = ranges.range(..=start).next_back();
        candidate.is_some_and(|(address, bytes)| start + slice.len() <= address + bytes)
    }

    fn allocate(&self, bytes: usize) -> Result<Allocation, CudaError> {
        self.tracker.allocate(bytes, self.limit.load(Ordering::Relaxed), PINNED_LIMIT)
    }

    fn add(&self, memory: &PooledMemory) {
        self.used.lock().insert(memory.address().as_ptr() as usize, memory.bytes());
    }

    fn remove(&self, memory: &PooledMemory) {
        self.used.lock().remove(&(memory.address().as_ptr() as usize));
    }
}

/// The physical memory of this host; `None` where the operating system does not say.
fn host_memory_bytes() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok()?.checked_mul(1024)
}

/// Page-locked memory that counts towards the limit of the pools.
#[derive(Debug)]
struct PooledMemory {
    memory: PinnedMemory,
    _allocation: Allocation,
}

impl Deref for PooledMemory {
    type Target = PinnedMemory;

    fn deref(&self) -> &PinnedMemory {
        &self.memory
    }
}

/// A pool of page-locked memory, because page-locking is slow.
#[derive(Debug)]
pub(super) struct PinnedPool {
    device: Arc<dyn Device>,
    tracker: Arc<MemoryTracker>,
    /// Memory that is not in use.
    idle: Mutex<Vec<PooledMemory>>,
    /// The maximum number of bytes in `idle`.
    max_idle_bytes: usize,
    /// The memory in use, and the limit of all memory of the pools.
    used: Arc<PinnedRanges>,
}

impl PinnedPool {
    pub fn new(
        device: Arc<dyn Device>,
        tracker: Arc<MemoryTracker>,
        used: Arc<PinnedRanges>,
        max_idle_bytes: usize,
    ) -> Self {
        Self { device, tracker, idle: Mutex::default(), max_idle_bytes, used }
    }

    /// Memory of at least `bytes` bytes, from the pool if it has any of this size class. Its contents are unspecified.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`]: not enough memory can be page-locked, or a limit would be exceeded.
    pub fn allocate(self: &Arc<Self>, bytes: usize, limit: usize) -> Result<Pinned, CudaError> {
        let requested_bytes = bytes;
        let bytes = size_class(bytes);
        let pooled = {
            let mut idle = self.idle.lock();
            let position = idle.iter().position(|memory| memory.bytes() == bytes);
            position.map(|position| idle.swap_remove(position))
        };
        let memory = match pooled {
            Some(memory) => memory,
            None => {
                let allocation = self.used.allocate(bytes)?;
                let memory = PinnedMemory::new(&self.device, &self.tracker, bytes, limit)?;
                PooledMemory { memory, _allocation: allocation }
            }
        };
        self.used.add(&memory);
        Ok(Pinned { pool: Arc::clone(self), memory: Some(memory), requested_bytes })
    }

    /// Frees the memory that is not in use.
    pub fn trim(&self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
    }

    /// Returns memory to the pool, or frees it if the pool is full.
    fn release(&self, memory: PooledMemory) {
        self.used.remove(&memory);
        let mut idle = self.idle.lock();
        let idle_bytes: usize = idle.iter().map(|memory| memory.bytes()).sum();
        if idle_bytes + memory.bytes() <= self.max_idle_bytes {
            idle.push(memory);
        }
    }
}

/// Page-locked memory from a pool, returned to it on drop.
#[derive(Debug)]
pub(super) struct Pinned {
    pool: Arc<PinnedPool>,
    /// `None` only during drop.
    memory: Option<PooledMemory>,
    requested_bytes: usize,
}

impl Pinned {
    /// The address of the first byte.
    pub fn address(&self) -> NonNull<u8> {
        self.memory.as_ref().map_or(NonNull::dangling(), |memory| memory.address())
    }

    /// The bytes that were requested. The memory has at least as many.
    pub fn requested_bytes(&self) -> usize {
        self.requested_bytes
    }

    /// The first bytes of the memory.
    ///
    /// # Safety
    /// They have been written, and no pending operation in a stream reads or writes them.
    ///
    /// # Panics
    /// The memory has fewer bytes.
    pub unsafe fn first_bytes_mut(&mut self, bytes: usize) -> &mut [u8] {
        match &mut self.memory {
            // SAFETY: as the caller guarantees.
            Some(memory) => unsafe { memory.memory.range_mut(0, bytes).assume_init_mut() },
            None => &mut [],
        }
    }

    /// Converts the first `bytes` bytes to a buffer. When the last reference to the buffer is dropped, the memory returns to
    /// the pool, and the reservation is released.
    ///
    /// # Safety
    /// The bytes have been written, and no operation that writes to the memory is pending.
    ///
    /// # Panics
    /// The memory has fewer bytes.
    pub unsafe fn into_buffer(self, bytes: usize, reservation: Option<Box<dyn Reservation>>) -> Buffer {
        let length = self.memory.as_ref().map_or(0, |memory| memory.bytes());
        assert!(bytes <= length, "the buffer is within the page-locked memory");
        let address = self.address();
        // Unwind safety: shared state is behind locks, whose critical sections leave it consistent.
        let owner = Arc::new(AssertUnwindSafe((self, reservation)));
        // SAFETY: the memory has at least this length, the bytes have been written, and it lives as long as its owner.
        unsafe { Buffer::from_custom_allocation(address, bytes, owner) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.pool.release(memory);
        }
    }
}

/// Rounds a size up to a size class. There are eight classes between two powers of two, but at least 4 KiB apart, so that
/// sizes are reused and, above 32 KiB, at most 1/8 of the memory is wasted.
fn size_class(bytes: usize) -> usize {
    let step = (bytes.max(4096).next_power_of_two() / 16).max(4096);
    bytes.max(1).next_multiple_of(step)
}
