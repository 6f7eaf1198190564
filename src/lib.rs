//! warpframe evaluates numeric row expressions over Arrow columns, in SQL and in Rust, on every engine a
//! machine offers, and compares them honestly.
//!
//! - [`Session`] is the way in: a DataFusion context with [`log3`], `generate_rows` and the `warpframe.*`
//!   options.
//! - [`kernel`] holds the bare kernels on slices.
//! - [`batch`] is the batch run: Parquet in, expressions, Parquet out; [`io`] has its files.
//! - [`cluster`] runs queries on many hosts.
//! - [`compare`] runs the same rows through every execution mode.
//! - [`program`] compiles any numeric expression, and [`functions`] has those that SQL defines.
//! - [`backend`] says what can evaluate a function; [`planner`] settles which one does.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

pub mod backend;
pub mod batch;
pub mod cluster;
pub mod compare;
pub mod config;
pub mod functions;
pub mod io;
pub mod kernel;
pub mod planner;
pub mod program;
pub mod rows;
mod session;

pub use functions::log3;
pub use io::{flush_cleanup, private_folder, private_folder_in};
pub use session::{DEFAULT_ROWS, Session, SessionBuilder};

/// The Rust code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
