//! The backends.

pub mod cuda;
pub mod simd;
