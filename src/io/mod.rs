//! Parquet files in and out: inputs checked before a query starts, outputs that appear only when whole.
//! One step a file; `batch` and `generate` put the steps together.

pub(crate) mod background_cleanup;
mod generate_files;
pub(crate) mod local_files;
mod multipart_upload;
mod object_location;
mod object_store_output;
pub(crate) mod object_stores;
mod parquet_input;
pub(crate) mod parquet_shard;
pub(crate) mod private_folder;
mod progress;
pub(crate) mod staging;
pub(crate) mod table_files;
pub(crate) mod task_attempts;
mod unique_id;
mod write_behind;
mod write_shards_exec;
mod write_summary;
mod writer_settings;

pub use background_cleanup::flush_cleanup;
pub use generate_files::GenerateFiles;
pub use parquet_input::ParquetInput;
pub use private_folder::{private_folder, private_folder_in};
pub use progress::Progress;
pub use staging::Staging;
pub use write_shards_exec::WriteShardsExec;
pub use write_summary::WriteSummary;
pub use writer_settings::{ParquetCompression, WriterSettings};
