//! Executable memory. Pages are written, then made executable: they are never both.

use crate::native::error::NativeError;

/// Pages with code that can be executed and read.
#[derive(Debug)]
pub(super) struct ExecutableMemory {
    address: *mut u8,
    size: usize,
}

// SAFETY: the pages do not change after `new`.
unsafe impl Send for ExecutableMemory {}
// SAFETY: as above.
unsafe impl Sync for ExecutableMemory {}

impl ExecutableMemory {
    /// Copies code to new pages.
    ///
    /// # Errors
    /// The system refuses the memory, or to make it executable.
    pub fn new(code: &[u8]) -> Result<Self, NativeError> {
        let size = code.len().max(1);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new pages, which nothing else refers to.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), size, access, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(NativeError::refused());
        }
        let memory = Self { address: address.cast(), size };
        // SAFETY: the pages are writable and as large as the code; they are not executed while they are written.
        let result = unsafe {
            std::ptr::copy_nonoverlapping(code.as_ptr(), memory.address, code.len());
            libc::mprotect(address, size, libc::PROT_READ | libc::PROT_EXEC)
        };
        if result == 0 { Ok(memory) } else { Err(NativeError::refused()) }
    }

    /// The address of the first byte.
    pub fn address(&self) -> *const u8 {
        self.address
    }
}

impl Drop for ExecutableMemory {
    fn drop(&mut self) {
        // SAFETY: the pages are those of `new`, and nothing refers to them any more.
        unsafe { libc::munmap(self.address.cast(), self.size) };
    }
}
