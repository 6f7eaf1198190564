//! Physical operators that evaluate programs.

mod fused_exec;
mod fused_rows;

pub use fused_exec::{FusedExec, Replaced};
pub use fused_rows::{FusedRows, NotFused};
