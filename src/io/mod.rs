//! Parquet files in and out: inputs checked before a query starts, outputs that appear only when whole.
//! One step a file; `batch` and `generate` put the steps together.

pub(crate) mod background_cleanup;
mod generate_files;
pub(crate) mod object_store_output;
pub(crate) mod object_stores;
mod parquet_input;
pub(crate) mod parquet_shard;
pub(crate) mod private_folder;
pub(crate) mod staging;
pub(crate) mod table_files;
mod write_behind;
mod write_shards_exec;
mod writer_settings;

use parquet_shard::Shard;

pub use background_cleanup::flush_cleanup;
pub use generate_files::GenerateFiles;
pub use parquet_input::ParquetInput;
pub use private_folder::{private_folder, private_folder_in};
pub use staging::Staging;
pub use write_shards_exec::WriteShardsExec;
pub use writer_settings::{ParquetCompression, WriterSettings};

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
    pub(crate) fn of(shards: &[Shard]) -> Self {
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
