//! Memory limits: how much memory there is, the limit of a session, and the pool in which operators and kernels reserve it.

mod available;
mod consumer_names;
mod fit_to_limit;
mod memory_limit;
mod pool_budget;
mod shared_pool;

pub use available::available_memory;
pub use fit_to_limit::fit_to_limit;
pub use memory_limit::MemoryLimit;
pub use pool_budget::PoolBudget;
pub use shared_pool::SharedPool;
