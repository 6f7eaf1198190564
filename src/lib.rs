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
//! - [`batch`] evaluates expressions over files and writes files; [`io`] reads and writes them.
//! - `cluster` runs queries on many hosts.
//! - `compare` measures the same rows in every execution mode.
//! - `command` is the `warpframe` command, and `machine` describes this machine.
//! - [`error_text`] makes one sentence of an error.
//! - [`arrow`] and [`datafusion`] are the versions of these crates that warpframe uses.
//!
//! # Features
//!
//! All are on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `cli` | the module `command` and the binary `warpframe` |
//! | `cluster` | the module `cluster`: Apache Ballista |
//! | `compare` | the module `compare`; implies `cluster` |
//! | `cuda` | NVIDIA's driver and run-time compiler, which are loaded when they are used; without it there are no GPUs |
//! | `aws`, `azure`, `gcp`, `http` | object stores of Amazon S3, Azure and Google Cloud Storage, and files of web servers |

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

pub mod batch;
mod clauses;
mod column_case;
#[cfg(feature = "cli")]
pub mod command;
#[cfg(feature = "compare")]
pub mod compare;
mod copy_target;
#[cfg(any(feature = "cli", feature = "compare"))]
mod counts;
pub mod error_location;
pub mod error_text;
mod file_tables;
mod from_first;
mod function_calls;
mod large_stack;
#[cfg(any(feature = "cli", feature = "compare"))]
pub mod machine;
#[cfg(not(feature = "cluster"))]
mod no_cluster;
mod private_catalog;
mod read_functions;
mod replaced_columns;
mod revision;
mod rows_read;
mod script;
mod session;
mod show_functions;
mod summarize;
#[cfg(feature = "cli")]
mod terminal_text;

pub use arrow;
pub use datafusion;
#[cfg(not(feature = "cluster"))]
use no_cluster as cluster;
pub use script::Script;
pub use session::{DEFAULT_ROWS, Session, SessionBuilder};
#[cfg(feature = "cluster")]
pub use warpframe_cluster as cluster;
pub use warpframe_cpu as cpu;
pub use warpframe_cpu::kernel;
pub use warpframe_cuda as cuda;
pub use warpframe_datafusion::functions::log3;
pub use warpframe_datafusion::{
    Execution, auto_backend, backend_names, backends, cost_model, errors, evaluation_error, functions,
    install, install_with, lowering, memory, options, planner, rows, runtime_builder,
};
pub use warpframe_io as io;
pub use warpframe_io::{flush_cleanup, private_folder, private_folder_in};
pub use warpframe_ir as ir;

/// The Rust code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The Rust code in the guide.
#[cfg(all(doctest, feature = "cluster"))]
#[doc = include_str!("../docs/rust.md")]
struct RustGuide;
