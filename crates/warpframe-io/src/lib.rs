//! Files and object stores: what batch runs and clusters share.
//!
//! - Input: [`open_tables`] opens files of a [`DataFormat`] as a table, [`ParquetInput`] checks Parquet files before a query is
//!   planned, [`CsvFormat`] reads CSV, and [`JsonScan`] JSON.
//! - Output: [`RowWriter`] writes every format. Files are [staged](Staging), and published only when they are complete. On a
//!   cluster, [`WriteShardsExec`] writes them where they are computed.
//! - `COPY` and `INSERT`: [`StageCopies`] makes the files of a statement appear together, here and, as [`WriteAttemptExec`],
//!   on clusters.
//! - [`GenerateFiles`] writes generated rows, and [`flush_cleanup`] waits for what runs after a cancelled query.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

#[cfg(feature = "azure")]
mod azure_variables;
mod background_cleanup;
mod column_names;
mod commit;
mod compressed_writer;
mod concatenate;
mod concatenate_parquet;
mod copy;
mod csv;
mod declared_columns;
mod existing_runtime;
mod exit_cleanup;
mod file_error;
mod file_type;
mod folder_files;
mod generate_files;
mod hidden_files;
mod hive_partitions;
mod json;
mod json_writer;
mod local_files;
mod multipart_upload;
mod named_errors;
mod notes;
mod object_location;
mod object_stores;
mod open_store;
mod opened_table;
mod output_settings;
mod parquet_errors;
mod parquet_footer;
mod parquet_input;
mod parquet_metadata;
mod partition_folders;
mod partitioned_table;
mod progress;
mod read_options;
mod row_writer;
mod shard;
mod spill_files;
mod standard_input;
mod store_errors;
mod stream_table;
mod table_factory;
mod table_files;
mod table_location;
mod table_presence;
mod task_files;
mod text_input;
mod text_scan;
mod unique_id;
mod url_schemes;
mod visible_objects;
mod write_behind;
mod write_shards_exec;
mod write_summary;
mod writer_settings;

pub use background_cleanup::{flush_cleanup, run_to_completion, spawn_cleanup};
pub use column_names::check_output_names;
pub use commit::{Attempts, OutputMode, OwnedFolder, Staging, private_folder, private_folder_in};
pub use compressed_writer::CompressedWriter;
pub use concatenate::concatenate_shards;
pub use copy::{
    ArrowFormatFactory, ArrowSink, AttemptFile, CopyOutput, CopySink, StageCopies, WriteAttemptExec,
    staged_copy_sink,
};
pub use csv::{CsvDialect, CsvFormat, CsvFormatFactory, CsvScan, CsvSink, ReplaceCsvScans};
pub use datafusion_datasource_avro::AvroFormatFactory;
pub use existing_runtime::runtime_env_over;
pub use exit_cleanup::remove_leftovers;
pub use file_error::file_error;
pub use file_type::{Compression, DataFormat, FileType, compression_of_path};
pub use generate_files::GenerateFiles;
pub use json::{JsonFormatFactory, JsonScan, JsonSink};
pub use json_writer::NonFinite;
pub use local_files::{find_files, is_special_file};
pub use named_errors::NameFiles;
pub use notes::Notes;
pub use object_stores::{ObjectStores, runtime_env_builder};
pub use opened_table::OpenTable;
pub use output_settings::OutputSettings;
pub use parquet_errors::parquet_message;
pub use parquet_footer::{ParquetFormatFactory, RepairFooters};
pub use parquet_input::ParquetInput;
pub use parquet_metadata::ParquetFunction;
pub use partition_folders::partition_columns;
pub use progress::Progress;
pub use read_options::{CsvReadOptions, Header, ReadOptions, csv_byte};
pub use row_writer::RowWriter;
pub use shard::{Shard, ShardWriter};
pub use spill_files::SpillFiles;
pub use stream_table::reads_stream;
pub use table_factory::TableFactory;
pub use table_files::{open_table, open_tables};
pub use table_presence::CheckTablePresence;
pub use task_files::{TaskFile, TaskFiles};
pub use write_shards_exec::WriteShardsExec;
pub use write_summary::WriteSummary;
pub use writer_settings::{ParquetCompression, WriterSettings};
