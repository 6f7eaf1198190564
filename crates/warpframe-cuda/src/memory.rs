//! Device memory and page-locked host memory: ownership, accounting, and a pool of page-locked memory.

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
    /// Adds to the allocated bytes, unless the sum would exceed a limit.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`]: the limit would be exceeded.
    fn allocate(self: &Arc<Self>, bytes: usize, limit: usize) -> Result<Allocation, CudaError> {
        let add = |allocated: usize| allocated.checked_add(bytes).filter(|sum| *sum <= limit);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Ok(Allocation { tracker: Arc::clone(self), bytes }),
            Err(allocated) => Err(CudaError::OutOfMemory(format!(
                "allocating {bytes} bytes for the GPU in addition to {allocated} bytes would exceed \
                 warpframe.cuda.memory_limit ({limit})"
            ))),
        }
    }

    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that a [`MemoryTracker`] counts as allocated until drop.
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

/// Device memory, freed on drop. It must be dropped only after the operations that use it have completed.
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

    /// The address at an offset in bytes.
    pub fn at(&self, offset: usize) -> DeviceAddress {
        debug_assert!(offset <= self.allocation.bytes);
        DeviceAddress(self.address.0 + offset as u64)
    }
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        // SAFETY: it was allocated by this device, and owners drop it after the operations that use it.
        unsafe { self.device.free(self.address) };
    }
}

/// Page-locked memory, freed on drop. It must be dropped only after the operations that use it have completed.
#[derive(Debug)]
pub(super) struct PinnedMemory {
    device: Arc<dyn Device>,
    allocation: Allocation,
    address: NonNull<u8>,
}

// SAFETY: it is memory with a single owner, which any thread may access and free.
unsafe impl Send for PinnedMemory {}
// SAFETY: shared references only read it.
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
        // Initialized, so that references to it are sound.
        // SAFETY: the allocation has this length.
        unsafe { address.as_ptr().write_bytes(0, bytes) };
        Ok(Self { device: Arc::clone(device), allocation, address })
    }

    pub fn bytes(&self) -> usize {
        self.allocation.bytes
    }

    pub fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// A range of the memory.
    ///
    /// # Safety
    /// No pending operation in a stream writes to the range.
    ///
    /// # Panics
    /// The range is not within the memory.
    pub unsafe fn range(&self, offset: usize, bytes: usize) -> &[u8] {
        assert!(offset + bytes <= self.allocation.bytes, "the range is within the page-locked memory");
        // SAFETY: the range is within the memory, which was initialized. The caller guarantees that operations in streams
        // do not access it concurrently.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr().add(offset), bytes) }
    }

    /// A range of the memory, mutable.
    ///
    /// # Safety
    /// No pending operation in a stream reads or writes the range.
    ///
    /// # Panics
    /// The range is not within the memory.
    pub unsafe fn range_mut(&mut self, offset: usize, bytes: usize) -> &mut [u8] {
        assert!(offset + bytes <= self.allocation.bytes, "the range is within the page-locked memory");
        // SAFETY: the range is within the memory, which was initialized. The caller guarantees that operations in streams
        // do not access it concurrently.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr().add(offset), bytes) }
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        // SAFETY: it was allocated by this device, and owners drop it after the operations that use it.
        unsafe { self.device.free_pinned(self.address) };
    }
}

/// The address ranges of page-locked memory in use: addresses and lengths. All GPUs access all ranges directly, whichever
/// context allocated them.
#[derive(Debug, Default)]
pub(super) struct PinnedRanges(Mutex<BTreeMap<usize, usize>>);

impl PinnedRanges {
    /// Whether a slice is within one of the ranges.
    pub fn contains(&self, slice: &[u8]) -> bool {
        let (start, ranges) = (slice.as_ptr() as usize, self.0.lock());
        let candidate = ranges.range(..=start).next_back();
        candidate.is_some_and(|(address, bytes)| start + slice.len() <= address + bytes)
    }

    fn add(&self, memory: &PinnedMemory) {
        self.0.lock().insert(memory.address().as_ptr() as usize, memory.bytes());
    }

    fn remove(&self, memory: &PinnedMemory) {
        self.0.lock().remove(&(memory.address().as_ptr() as usize));
    }
}

/// A pool of page-locked memory, because page-locking is slow.
#[derive(Debug)]
pub(super) struct PinnedPool {
    device: Arc<dyn Device>,
    tracker: Arc<MemoryTracker>,
    /// Memory that is not in use.
    idle: Mutex<Vec<PinnedMemory>>,
    /// The maximum number of bytes in `idle`.
    max_idle_bytes: usize,
    /// The memory in use.
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

    /// Memory of at least `bytes` bytes, from the pool if it has any of this size class. Its contents are unspecified but
    /// initialized.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`]: not enough memory can be page-locked, or the limit would be exceeded.
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
            None => PinnedMemory::new(&self.device, &self.tracker, bytes, limit)?,
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
    fn release(&self, memory: PinnedMemory) {
        self.used.remove(&memory);
        let mut idle = self.idle.lock();
        let idle_bytes: usize = idle.iter().map(PinnedMemory::bytes).sum();
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
    memory: Option<PinnedMemory>,
    requested_bytes: usize,
}

impl Pinned {
    /// The address of the first byte.
    pub fn address(&self) -> NonNull<u8> {
        self.memory.as_ref().map_or(NonNull::dangling(), PinnedMemory::address)
    }

    /// The bytes that were requested. The memory has at least as many.
    pub fn requested_bytes(&self) -> usize {
        self.requested_bytes
    }

    /// The first bytes of the memory.
    ///
    /// # Safety
    /// No pending operation in a stream reads or writes them.
    ///
    /// # Panics
    /// The memory has fewer bytes.
    pub unsafe fn first_bytes_mut(&mut self, bytes: usize) -> &mut [u8] {
        match &mut self.memory {
            // SAFETY: as the caller guarantees.
            Some(memory) => unsafe { memory.range_mut(0, bytes) },
            None => &mut [],
        }
    }

    /// Converts the first `bytes` bytes to a buffer. When the last reference to the buffer is dropped, the memory returns to
    /// the pool, and the reservation is released. No operation that writes to the memory may be pending.
    pub fn into_buffer(self, bytes: usize, reservation: Option<Box<dyn Reservation>>) -> Buffer {
        let length = self.memory.as_ref().map_or(0, PinnedMemory::bytes);
        assert!(bytes <= length, "the buffer is within the page-locked memory");
        let address = self.address();
        // Unwind safety: shared state is behind locks, whose critical sections leave it consistent.
        let owner = Arc::new(AssertUnwindSafe((self, reservation)));
        // SAFETY: the memory has at least this length, was initialized when it was allocated, and lives as long as its
        // owner.
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

/// The buffer, with a reservation that is released when the last reference to the buffer is dropped.
pub(super) fn reserved_buffer(buffer: Buffer, reservation: Box<dyn Reservation>) -> Buffer {
    let (address, bytes) = (NonNull::from(buffer.as_slice()).cast(), buffer.len());
    // Unwind safety: as in `Pinned::into_buffer`.
    let owner = Arc::new(AssertUnwindSafe((buffer, reservation)));
    // SAFETY: the memory has this length, is not changed, and lives as long as its owner.
    unsafe { Buffer::from_custom_allocation(address, bytes, owner) }
}

/// Rounds a size up to a size class. There are eight classes between two powers of two, but at least 4 KiB apart, so that
/// sizes are reused and, above 32 KiB, at most 1/8 of the memory is wasted.
fn size_class(bytes: usize) -> usize {
    let step = (bytes.max(4096).next_power_of_two() / 16).max(4096);
    bytes.max(1).next_multiple_of(step)
}
