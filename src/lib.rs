//! warpframe evaluates numeric row expressions over Arrow columns, in SQL and in Rust, on every engine a machine
//! offers, and compares the engines.
//!
//! - [`Session`] is a DataFusion context with [`log3`], `generate_rows` and the `warpframe.*` options; [`install()`] adds
//!   the same to the session of another application.
//! - [`lowering`] compiles an expression to a program ([`ir`]), and [`backends`] compiles programs to kernels:
//!   [`cpu`] for the CPU's vector units, [`cuda`] for NVIDIA GPUs.
//! - [`functions`] has functions made of programs and those that users define in SQL; [`planner`] has the optimizer
//!   rules.
//! - [`kernel`] has kernels on slices, without a query engine.
//! - [`batch`] evaluates expressions from Parquet to Parquet; [`io`] reads and writes the files.
//! - [`cluster`] runs queries on many hosts.
//! - [`compare`] measures the same rows in every execution mode.
//! - [`command`] is the `warpframe` command.
//! - [`error_text`] makes one sentence of an error.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

pub mod batch;
mod clauses;
mod column_case;
pub mod command;
pub mod compare;
mod copy_target;
pub mod error_location;
pub mod error_text;
mod file_tables;
mod function_calls;
mod large_stack;
mod private_catalog;
mod read_functions;
mod revision;
mod rows_read;
mod script;
mod session;
mod show_functions;
mod summarize;
mod terminal_text;

pub use script::Script;
pub use session::{DEFAULT_ROWS, Session, SessionBuilder};
pub use warpframe_cluster as cluster;
pub use warpframe_cpu as cpu;
pub use warpframe_cpu::kernel;
pub use warpframe_cuda as cuda;
pub use warpframe_datafusion::functions::log3;
pub use warpframe_datafusion::{
    Execution, auto_backend, backend_names, backends, cost_model, errors, evaluation_error, functions,
    install, install_with, lowering, memory, options, planner, rows,
};
pub use warpframe_io as io;
pub use warpframe_io::{flush_cleanup, private_folder, private_folder_in};
pub use warpframe_ir as ir;

/// The Rust code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
