//! What warpframe adds to DataFusion's query planning. One rule a file.

mod bind_backend;
mod feed_gpus;
mod float_partitions;
mod float_statistics;
mod fuse;

pub use bind_backend::BindBackend;
pub use feed_gpus::{FeedGpus, with_batch_rows};
pub use float_partitions::FloatPartitions;
pub use float_statistics::{DropFloatStatistics, GuardFloatPredicates, distrust_float_statistics};
pub use fuse::{Fuse, not_fused};
