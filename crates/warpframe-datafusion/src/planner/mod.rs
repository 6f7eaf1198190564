//! Rules of query planning, one in each file.

mod bind_backend;
mod conditions;
mod equality;
mod exact_functions;
mod float_statistics;
mod fuse;
mod fuse_aggregate;
mod fuse_operators;
mod fused_functions;
mod fused_operators;
mod gpu_batches;
mod has_expression;
mod keep_projections;
mod not_fused_operators;
mod operator_chain;
mod partition_values;
mod scalar_subqueries;
mod short_circuit;
mod sort_keys;
mod top_k_floats;

pub use bind_backend::BindBackend;
pub use equality::Equality;
pub use exact_functions::ExactFunctions;
pub use float_statistics::{DropFloatStatistics, GuardFloatPredicates, distrust_float_statistics};
pub use fuse::{Fuse, not_fused};
pub use fuse_operators::FuseOperators;
pub use fused_functions::{for_each_fused_function, prepare};
pub use gpu_batches::GpuBatches;
pub use keep_projections::KeepProjections;
pub use not_fused_operators::not_fused_operators;
pub use partition_values::PartitionValues;
pub use scalar_subqueries::{CorrelatedSubqueries, ScalarSubqueries};
pub use short_circuit::ShortCircuit;
pub use sort_keys::SortKeys;
pub use top_k_floats::TopKFloats;
