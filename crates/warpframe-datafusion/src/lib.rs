//! The DataFusion integration: numeric expressions are lowered to programs, fused, and evaluated by kernels.
//!
//! [`install()`] adds everything to a session. `lowering` lowers expressions to programs, `functions` has the functions
//! defined by programs or in SQL, `operators` the physical operators, `planner` the optimizer rules, `backends` the registry of
//! backends, `explain` draws plans, `memory` memory limits, `options` the `warpframe.*` options, `rows` generated rows,
//! `table_changes` plans `DELETE` and `UPDATE`, and `worker_threads` builds the tokio runtime.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

pub mod auto_backend;
pub mod backend_names;
pub mod backends;
pub mod column_names;
pub mod cost_model;
mod device_wait;
pub mod errors;
pub mod evaluation_error;
pub mod explain;
mod expression_text;
pub mod functions;
mod install;
pub mod long_expressions;
pub mod lowering;
pub mod memory;
mod normalized_name;
pub mod operators;
pub mod options;
mod physical_cores;
pub mod planner;
pub mod rows;
pub mod table_changes;
mod visit_statement;
mod worker_threads;

pub use install::{Execution, configure, install, install_with};
pub use normalized_name::normalized_name;
pub use visit_statement::visit_statement;
pub use worker_threads::runtime_builder;
