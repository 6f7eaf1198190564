//! The comparison: the same rows and the same formula through every execution mode, verified and timed.
//! The formula is in `formula`, what the modes are in `mode`, how one is run in `engine` and `kernel_mode`, how answers are checked in
//! `verify`, the tools of others are in `external_tools`, many numbers of rows in `sweep`, what is known of the machine in `machine`, and how it is shown in `report`.

mod columns;
mod comparison;
mod engine;
mod event;
pub mod external_tools;
mod formula;
mod kernel_mode;
mod machine;
mod measure;
mod mode;
mod named_enum;
mod output_files;
pub mod report;
mod run;
pub mod sweep;
mod tool_runner;
mod verify;
mod workload;

pub use comparison::Comparison;
pub use event::Event;
pub use external_tools::{ExternalTools, ToolMode};
pub use machine::Machine;
pub use mode::Mode;
pub use report::{GpuSplit, Limit, ModeReport, Report, Split, Status, ToolDetails};
pub use sweep::Sweep;
pub use workload::{ResultSink, Source};
