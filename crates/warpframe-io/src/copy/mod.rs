//! `COPY TO` and `INSERT INTO` files. Their files appear when all of them are complete, or not at all.
//!
//! DataFusion's sinks write the files of an output one by one under their final names. Here a sink writes into a hidden
//! folder instead (`staged_files` has the object store that it sees), and the files are published at its end:
//!
//! - In this process, [`StageCopies`] replaces the sink of a plan by one that does both.
//! - On a cluster, [`WriteAttemptExec`] writes the files of one attempt of the task on an executor and returns their
//!   names, and the client [publishes](CopyOutput) those of the attempt that the query has used.

mod arrow_format;
mod attempt_file;
mod copy_output;
mod copy_sink;
mod created_folders;
mod stage_copies;
mod staged_files;
mod write_attempt_exec;

pub(super) use arrow_format::ArrowFormat;
pub use arrow_format::{ArrowFormatFactory, ArrowSink};
pub use attempt_file::AttemptFile;
pub use copy_output::CopyOutput;
pub use copy_sink::CopySink;
pub use stage_copies::{StageCopies, staged_copy_sink};
pub use write_attempt_exec::WriteAttemptExec;
