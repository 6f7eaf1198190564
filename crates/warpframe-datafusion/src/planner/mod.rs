//! Rules of query planning, one in each file.

mod bind_backend;
mod conditions;

mod float_statistics;
mod fuse;
mod fuse_operators;
mod fused_functions;
mod gpu_batches;
mod keep_projections;
mod operator_chain;
mod partition_values;

pub use bind_backend::BindBackend;

pub use float_statistics::{DropFloatStatistics, GuardFloatPredicates, distrust_float_statistics};
pub use fuse::{Fuse, not_fused};
pub use fuse_operators::FuseOperators;
pub use fused_functions::{for_each_fused_function, prepare};
pub use gpu_batches::GpuBatches;
pub use keep_projections::KeepProjections;
pub use partition_values::PartitionValues;
