//! Stores that bypass the caches. An ordinary store reads its cache line from memory first; results that are larger than the
//! caches need not pay for that.

/// The alignment and the granularity of the stores in bytes: that of a cache line, which is written at once.
pub(super) const LINE: usize = 64;

/// Copies bytes with stores that bypass the caches, where the CPU has such. Call [`fence`] before other threads read them.
///
/// # Safety
/// `from` must be valid for reading that many bytes and `to` for writing them, without overlap. `to` and `bytes` must be multiples of
/// [`LINE`].
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};

        for start in (0..bytes).step_by(LINE) {
            // SAFETY: all x86-64 CPUs have SSE2. The caller guarantees that both lines are accessible, and that of `to` aligned.
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

/// Orders the stores of [`copy`] on this thread before all later ones.
pub(super) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: all x86-64 CPUs have SSE.
    unsafe {
        std::arch::x86_64::_mm_sfence()
    }
}
