//! Device memory and page-locked host memory: ownership and accounting.

use std::mem::MaybeUninit;
use std::panic::AssertUnwindSafe;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_buffer::Buffer;
use warpframe_ir::memory::Reservation;

use super::driver::{CudaError, Device, DeviceAddress};

/// Counts bytes that this process has allocated: those for a GPU, in device and page-locked memory, or those in the pools of
/// page-locked memory.
#[derive(Debug, Default)]
pub(super) struct MemoryTracker(AtomicUsize);

impl MemoryTracker {
    /// Adds to the allocated bytes, unless the sum would exceed a limit, whose name is in the error.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`]: the limit would be exceeded.
    pub fn allocate(
        self: &Arc<Self>,
        bytes: usize,
        limit: usize,
        name: &str,
    ) -> Result<Allocation, CudaError> {
        let add = |allocated: usize| allocated.checked_add(bytes).filter(|sum| *sum <= limit);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(_) => Ok(Allocation { tracker: Arc::clone(self), bytes }),
            Err(allocated) => Err(CudaError::OutOfMemory(format!(
                "allocating {bytes} bytes for the GPU in addition to {allocated} bytes would exceed {name} ({limit})"
            ))),
        }
    }

    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The name of the limit of the bytes that are allocated for a GPU.
const MEMORY_LIMIT: &str = "warpframe.cuda.memory_limit";

/// Bytes that a [`MemoryTracker`] counts as allocated until drop.
#[derive(Debug)]
pub(super) struct Allocation {
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
        let allocation = tracker.allocate(bytes, limit, MEMORY_LIMIT)?;
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

/// Page-locked memory, freed on drop. It must be dropped only after the operations that use it have completed. It is not
/// initialized: a pass over fresh memory would take longer than a copy of it over the bus.
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
        let allocation = tracker.allocate(bytes, limit, MEMORY_LIMIT)?;
        let address = device.allocate_pinned(bytes)?;
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
    /// The range has been written, and no pending operation in a stream writes to it.
    ///
    /// # Panics
    /// The range is not within the memory.
    pub unsafe fn range(&self, offset: usize, bytes: usize) -> &[u8] {
        assert!(offset + bytes <= self.allocation.bytes, "the range is within the page-locked memory");
        // SAFETY: the range is within the memory. The caller guarantees that it was written, and that operations in streams do
        // not access it concurrently.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr().add(offset), bytes) }
    }

    /// A range of the memory, to be written.
    ///
    /// # Safety
    /// No pending operation in a stream reads or writes the range.
    ///
    /// # Panics
    /// The range is not within the memory.
    pub unsafe fn range_mut(&mut self, offset: usize, bytes: usize) -> &mut [MaybeUninit<u8>] {
        assert!(offset + bytes <= self.allocation.bytes, "the range is within the page-locked memory");
        // SAFETY: the range is within the memory. The caller guarantees that operations in streams do not access it
        // concurrently.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr().add(offset).cast(), bytes) }
    }
}

impl Drop for PinnedMemory {
    fn drop(&mut self) {
        // SAFETY: it was allocated by this device, and owners drop it after the operations that use it.
        unsafe { self.device.free_pinned(self.address) };
    }
}

/// The buffer, with a reservation that is released when the last reference to the buffer is dropped.
pub(super) fn reserved_buffer(buffer: Buffer, reservation: Box<dyn Reservation>) -> Buffer {
    let (address, bytes) = (NonNull::from(buffer.as_slice()).cast(), buffer.len());
    // Unwind safety: as in `pinned_pool::Pinned::into_buffer`.
    let owner = Arc::new(AssertUnwindSafe((buffer, reservation)));
    // SAFETY: the memory has this length, is not changed, and lives as long as its owner.
    unsafe { Buffer::from_custom_allocation(address, bytes, owner) }
}
