//! Files and object stores: what batch runs and clusters share.
//!
//! - Input: [`open_table`](table_files) opens files as tables, and [`ParquetInput`] checks Parquet files before a query
//!   is planned.
//! - Output: Parquet shards are [staged](Staging), and published only when they are complete. On a cluster,
//!   [`WriteShardsExec`] writes them where they are computed.
//! - [`GenerateFiles`] writes generated rows, and [`flush_cleanup`] waits for what runs after a cancelled query.

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
