//! What warpframe adds to DataFusion's query planning. One rule a file.

mod bind_backend;
mod fuse;

pub use bind_backend::BindBackend;
pub use fuse::{Fuse, not_fused};
