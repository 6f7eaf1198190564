//! Files and object stores: what batch runs and clusters share.
//!
//! - Input: [`open_table`] opens files as tables, [`ParquetInput`] checks Parquet files before a query is planned, and
//!   [`CsvFormat`] reads CSV.
//! - Output: Parquet shards are [staged](Staging), and published only when they are complete. On a cluster,
//!   [`WriteShardsExec`] writes them where they are computed.
//! - `COPY` and `INSERT`: [`StageCopies`] makes the files of a statement appear together, here and, as [`WriteAttemptExec`],
//!   on clusters.
//! - [`GenerateFiles`] writes generated rows, and [`flush_cleanup`] waits for what runs after a cancelled query.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

mod background_cleanup;
mod commit;
mod copy;
mod csv;
mod exit_cleanup;
mod file_error;
mod generate_files;
mod hidden_files;
mod hive_partitions;
mod local_files;
mod multipart_upload;
mod object_location;
mod object_stores;
mod parquet_footer;
mod parquet_input;
mod parquet_metadata;
mod parquet_shard;
mod partitioned_table;
mod progress;
mod spill_files;
mod table_factory;
mod table_files;
mod table_location;
mod table_presence;
mod unique_id;
mod visible_objects;
mod write_behind;
mod write_shards_exec;
mod write_summary;
mod writer_settings;

pub use background_cleanup::{flush_cleanup, run_to_completion, spawn_cleanup};
pub use commit::{Attempts, OutputMode, OwnedFolder, Staging, private_folder, private_folder_in};
pub use copy::{
    ArrowFormatFactory, ArrowSink, AttemptFile, CopyOutput, CopySink, StageCopies, WriteAttemptExec,
    staged_copy_sink,
};
pub use csv::{CsvDialect, CsvFormat, CsvFormatFactory, CsvScan, CsvSink, CsvWriter, ReplaceCsvScans};
pub use exit_cleanup::remove_leftovers;
pub use file_error::file_error;
pub use generate_files::GenerateFiles;
pub use local_files::{find_files, is_special_file};
pub use object_stores::{ObjectStores, runtime_env_builder};
pub use parquet_footer::{ParquetFormatFactory, RepairFooters};
pub use parquet_input::ParquetInput;
pub use parquet_metadata::ParquetFunction;
pub use parquet_shard::{Shard, ShardWriter, concatenate_shards};
pub use progress::Progress;
pub use spill_files::SpillFiles;
pub use table_factory::TableFactory;
pub use table_files::open_table;
pub use table_presence::CheckTablePresence;
pub use write_shards_exec::WriteShardsExec;
pub use write_summary::WriteSummary;
pub use writer_settings::{ParquetCompression, WriterSettings};
