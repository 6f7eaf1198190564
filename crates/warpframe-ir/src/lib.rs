//! The intermediate representation (IR): typed programs for numeric row expressions, the op table, the builder, and
//! the traits that backends implement. Depends on Arrow arrays, not on a query engine.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

pub mod backend;
pub mod builder;
pub mod error;
pub mod error_interval;
pub mod instruction;
pub mod interpreter;
pub mod memory;
pub mod metrics;
pub mod ops;
pub mod program;
mod scalar;
mod serde;

pub use backend::{Backend, Kernel, KernelContext};
pub use builder::Builder;
pub use error::{Error, Result};
pub use error_interval::ErrorInterval;
pub use instruction::{Input, Instruction, Kind, Precision, Trap, Value};
pub use interpreter::Interpreter;
pub use memory::{MemoryBudget, Reservation, Unlimited};
pub use metrics::{Metric, Metrics, Snapshot};
pub use ops::{Binary, OpInfo, Unary};
pub use program::Program;
