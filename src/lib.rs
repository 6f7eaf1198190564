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

pub mod batch;
pub mod compare;
mod session;

pub use session::{DEFAULT_ROWS, Session, SessionBuilder};
pub use warpframe_cluster as cluster;
pub use warpframe_cpu as cpu;
pub use warpframe_cpu::kernel;
pub use warpframe_cuda as cuda;
pub use warpframe_datafusion::functions::log3;
pub use warpframe_datafusion::{
    backend_names, backends, cost_model, errors, functions, install, install_with, lowering, memory_pool,
    options, planner, rows,
};
pub use warpframe_io as io;
pub use warpframe_io::{flush_cleanup, private_folder, private_folder_in};
pub use warpframe_ir as ir;

/// The Rust code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
