//! Parquet files in and out: inputs checked before a query starts, outputs that appear only when whole.
//! One step a file; `batch` and `generate` put the steps together.

mod batch;
mod bucket;
mod generate;
mod input;
mod output;
mod settings;
mod shard;
mod sink;
mod staging;

use shard::Shard;

pub(crate) use batch::plan_in_order;
pub use batch::{BatchRun, write_query};
pub(crate) use bucket::is_url;
pub use generate::GenerateFiles;
pub use input::ParquetInput;
pub use settings::{ParquetCompression, WriterSettings};
pub use sink::WriteShardsExec;
pub use staging::Staging;

/// What a run that writes Parquet has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteSummary {
    /// Rows in all files together.
    pub rows: u64,
    /// Bytes in all files together.
    pub bytes: u64,
    /// The number of files.
    pub files: usize,
}

impl WriteSummary {
    fn of(shards: &[Shard]) -> Self {
        Self {
            rows: shards.iter().map(Shard::rows).sum(),
            bytes: shards.iter().map(|shard| shard.bytes).sum(),
            files: shards.len(),
        }
    }
}

/// Hears how far a run has come. Called from several threads.
pub trait Progress: Send + Sync {
    /// The run begins and will process `rows` rows.
    fn start(&self, rows: u64);

    /// `rows` rows are done so far.
    fn position(&self, rows: u64);

    /// Something that the user should know and that is no error.
    fn warn(&self, message: &str);
}

/// Hears nothing.
impl Progress for () {
    fn start(&self, _rows: u64) {}
    fn position(&self, _rows: u64) {}
    fn warn(&self, _message: &str) {}
}
