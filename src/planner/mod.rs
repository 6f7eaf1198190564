//! What warpframe adds to DataFusion's query planning. One rule a file.

mod bind_backend;

pub use bind_backend::BindBackend;
