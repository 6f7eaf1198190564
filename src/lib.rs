//! warpframe evaluates numeric row expressions over Arrow columns, in SQL and in Rust, on every engine a
//! machine offers, and compares them honestly.
//!
//! - [`Session`] is the way in: a DataFusion context with [`log3`], `generate_rows` and the `warpframe.*`
//!   options.
//! - [`kernel`] holds the bare kernels on slices.
//! - [`batch`] is the batch run: Parquet in, expressions, Parquet out; [`io`] has its files.
//! - [`cluster`] runs queries on many hosts.
//! - [`compare`] runs the same rows through every execution mode.
//! - [`lowering`] compiles any numeric expression, and [`functions`] has those that SQL defines.
//! - [`backends`] is what can evaluate them; [`planner`] chooses.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod auto_backend;
pub mod backend;
pub mod backend_names;
pub mod backends;
pub mod batch;
pub mod cluster;
pub mod compare;
pub mod cost_model;
pub mod errors;
pub mod functions;
pub mod install;
pub mod io;
pub mod lowering;
pub mod memory_pool;
pub mod options;
pub mod planner;
pub mod program;
pub mod rows;
mod session;

pub use backend::simd::kernel;
pub use functions::log3;
pub use install::install;
pub use io::{flush_cleanup, private_folder, private_folder_in};
pub use session::{DEFAULT_ROWS, Session, SessionBuilder};

/// The Rust code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
