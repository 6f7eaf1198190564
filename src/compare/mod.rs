//! Runs the same formula over the same rows in every execution mode, verifies the results and times the runs.
//!
//! `comparison` holds the settings, `run` the main loop. `formula` compiles the expression, `mode` lists the modes,
//! `engine` and `kernel_mode` run them, `running_cluster` holds the cluster of a mode, `session_query` runs single queries, `measure` times them, `reference` has the expected
//! results, and `verify` and `tool_tolerance` check the results.
//!
//! `external_tools` lists the Python tools, `tool_process` is the process of one, `tool_runner` runs them, and `formula_tree` is
//! the form in which they get the formula.
//!
//! `sweep` repeats a comparison for several numbers of rows, `suite` for several formulas. `report` renders the findings.

mod columns;
mod comparison;
mod engine;
mod event;
pub mod external_tools;
mod formula;
mod formula_tree;
mod kernel_mode;
mod measure;
mod mode;
mod named_enum;
mod output_files;
mod reference;
pub mod report;
mod run;
mod running_cluster;
mod session_query;
pub mod suite;
pub mod sweep;
mod tool_process;
mod tool_runner;
mod tool_tolerance;
mod verify;
mod workload;

pub use comparison::Comparison;
pub use event::Event;
pub use external_tools::{ExternalTools, ToolMode};
pub use mode::Mode;
pub use report::{GpuSplit, Limit, ModeReport, Report, Split, Status, ToolDetails};
pub use running_cluster::RunningCluster;
pub use sweep::Sweep;
pub use tool_process::kill_tools;
pub use workload::{ResultSink, Source};
