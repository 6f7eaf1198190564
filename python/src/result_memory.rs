//! The memory of result arrays. Large blocks are kept for the next results when their arrays are gone: the page faults of fresh
//! memory take longer than most functions.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_int;
use std::ptr::NonNull;

use parking_lot::Mutex;
use pyo3::exceptions::{PyBufferError, PyMemoryError};
use pyo3::ffi;
use pyo3::prelude::*;

/// The alignment of results in bytes, that of a cache line and of the widest vector register.
const ALIGNMENT: usize = 64;

/// Smaller blocks are left to the allocator.
const LEAST_KEPT: usize = 1 << 20;

/// The bytes that are kept at most.
const MOST_KEPT: usize = 256 << 20;

/// Free blocks.
static FREE: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// Uninitialized memory.
struct Block {
    first: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory belongs to the block alone.
unsafe impl Send for Block {}
// SAFETY: a shared block gives no access to its memory without an unsafe operation.
unsafe impl Sync for Block {}

impl Block {
    /// Memory of at least this size, new or kept; `None` if there is none.
    fn take(bytes: usize) -> Option<Self> {
        if bytes >= LEAST_KEPT {
            let mut free = FREE.lock();
            // A block that is much larger would be lost for larger results.
            let fits = |block: &Block| (bytes..=bytes + bytes / 4).contains(&block.layout.size());
            if let Some(position) = free.iter().position(fits) {
                return Some(free.swap_remove(position));
            }
        }
        let layout = Layout::from_size_align(bytes.max(1), ALIGNMENT).ok()?;
        // SAFETY: the size is not 0.
        let first = NonNull::new(unsafe { alloc(layout) })?;
        Some(Self { first, layout })
    }

    /// Frees the memory, or keeps it.
    fn give_back(self) {
        if self.layout.size() >= LEAST_KEPT {
            let mut free = FREE.lock();
            let kept: usize = free.iter().map(|block| block.layout.size()).sum();
            if kept + self.layout.size() <= MOST_KEPT {
                free.push(self);
                return;
            }
        }
        self.free();
    }

    fn free(self) {
        // SAFETY: the memory was allocated with this layout, and the block is the only owner.
        unsafe { dealloc(self.first.as_ptr(), self.layout) };
    }
}

/// Returns the memory that is kept for results to the allocator, and says how many bytes that were.
#[pyfunction]
pub fn release_memory() -> usize {
    let free = std::mem::take(&mut *FREE.lock());
    let bytes = free.iter().map(|block| block.layout.size()).sum();
    free.into_iter().for_each(Block::free);
    bytes
}

/// The memory of a result array, as a writable buffer of bytes.
#[pyclass(module = "warpframe._warpframe", frozen)]
pub struct ResultMemory {
    block: Option<Block>,
    bytes: usize,
}

impl ResultMemory {
    /// Memory of this size, uninitialized. Whoever takes it writes all bytes before Python can read them.
    ///
    /// # Errors
    /// `MemoryError`: there is not enough memory.
    pub fn new(bytes: usize) -> PyResult<Self> {
        match Block::take(bytes) {
            Some(block) => Ok(Self { block: Some(block), bytes }),
            None => Err(PyMemoryError::new_err(format!("there is no memory for a result of {bytes} bytes"))),
        }
    }

    /// The address of the first byte.
    pub fn address(&self) -> *mut u8 {
        self.block.as_ref().map_or(std::ptr::null_mut(), |block| block.first.as_ptr())
    }
}

impl Drop for ResultMemory {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            block.give_back();
        }
    }
}

#[pymethods]
impl ResultMemory {
    /// # Safety
    /// Python calls it with a view to be filled.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let (address, bytes) = (slf.get().address(), slf.get().bytes);
        let Ok(bytes) = ffi::Py_ssize_t::try_from(bytes) else {
            return Err(PyBufferError::new_err("the memory is too large for a buffer"));
        };
        // SAFETY: the memory has this size, and lives as long as the object, which the view refers to.
        let filled = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), address.cast(), bytes, 0, flags) };
        if filled == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}
