//! The intermediate representation (IR): typed programs for numeric row expressions, the op table, the builder, the verifier,
//! and the traits that backends implement. Depends on Arrow arrays, not on a query engine.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod array_element;
pub mod backend;
pub mod builder;
pub mod error;
pub mod error_interval;
pub mod instruction;
pub mod interpreter;
pub mod memory;
pub mod metrics;
pub mod ops;
mod output_array;
pub mod program;
mod program_text;
pub mod reduction;
mod scalar;
mod scalar_type;
mod serde;
mod table;
mod trap;
mod verifier;

pub use self::serde::FORMAT_VERSION;
pub use backend::{Backend, Evaluated, Kernel, KernelContext, KernelUse};
pub use builder::Builder;
pub use error::{Error, Result};
pub use error_interval::ErrorInterval;
pub use instruction::{Comparison, Input, Instruction, Output, Value};
pub use interpreter::Interpreter;
pub use memory::{MemoryBudget, Reservation, Unlimited};
pub use metrics::{Metric, Metrics, Snapshot};
pub use ops::{Binary, OpInfo, Unary};
pub use output_array::{array_of_scalars, concat_nulls, is_truncating, with_logical_type, write_values};
pub use program::Program;
pub use reduction::{Accumulator, Reductions};
pub use scalar::Scalar;
pub use scalar_type::ScalarType;
pub use table::Table;
pub use trap::{IntegerType, RowTrap, Trap};
pub use verifier::MAX_INSTRUCTIONS;
