//! Stores that bypass the caches. An ordinary store reads its cache line from memory first; results that are larger than the
//! caches need not pay for that.

/// The alignment of the stores in bytes.
pub(super) const ALIGNMENT: usize = 16;

/// The granularity of [`copy`] in bytes, and the alignment of stores of whole vector registers.
pub(super) const LINE: usize = 64;

/// Copies bytes with stores that bypass the caches, where the CPU has such.
///
/// # Safety
/// `from` must be valid for reading that many bytes and `to` for writing them, without overlap. `to` must be a multiple of [`ALIGNMENT`],
/// and `bytes` of 64. The calling thread must drop a [`Fence`] before the memory is accessed otherwise.
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};

        for start in (0..bytes).step_by(LINE) {
            // SAFETY: all x86-64 CPUs have SSE2. The caller guarantees that both lines are accessible, and that `to` is aligned.
            unsafe {
                let (from, to) = (from.add(start).cast::<__m128i>(), to.add(start).cast::<__m128i>());
                let line = [0, 1, 2, 3].map(|part| _mm_loadu_si128(from.add(part)));
                line.into_iter().enumerate().for_each(|(part, bits)| _mm_stream_si128(to.add(part), bits));
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller guarantees it.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, bytes)
    }
}

/// Orders the stores past the caches, those of [`copy`] and of native code, on the thread that drops it before all later accesses.
pub(super) struct Fence;

impl Drop for Fence {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: all x86-64 CPUs have SSE.
        unsafe {
            std::arch::x86_64::_mm_sfence()
        }
    }
}
