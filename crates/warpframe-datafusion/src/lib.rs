//! warpframe in DataFusion: numeric expressions become programs, fused functions and kernels.
//!
//! [`install()`] adds everything to a session. `lowering` turns expressions into programs, `functions` has the functions
//! made of programs and those that users define in SQL, `planner` the optimizer rules, `backends` the registry of
//! backends, `options` the `warpframe.*` options, and `rows` generated rows.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod auto_backend;
pub mod backend_names;
pub mod backends;
pub mod cost_model;
pub mod errors;
pub mod functions;
mod install;
pub mod lowering;
pub mod memory_pool;
pub mod options;
pub mod planner;
pub mod rows;

pub use install::{Execution, configure, install, install_with};
