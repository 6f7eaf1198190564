//! `warpframe generate`: writes generated rows as Parquet.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;

use super::error::CliError;
use super::progress::RowsBar;
use super::runtime::{all_cores, run_to_end};
use super::values;
use crate::counts::count;
use warpframe_datafusion::rows::{Distribution, RowGenerator};
use warpframe_io::{GenerateFiles, ParquetCompression, WriteSummary, WriterSettings};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The number of rows
    #[arg(long, value_name = "N", value_parser = values::rows)]
    rows: u64,
    /// The values of x, y and z: sequence (x = y = z = 1, 2, 3, ...) or uniform (in (0, 1e6])
    #[arg(long, default_value_t, value_parser = values::named::<Distribution>)]
    distribution: Distribution,
    /// The seed of the uniform distribution
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The output: a file if the name ends in .parquet, otherwise a folder
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// The number of files in a folder
    #[arg(long, default_value = "1", value_parser = values::count)]
    files: NonZeroUsize,
    #[command(flatten)]
    writer: WriterArguments,
    /// The number of threads; all cores by default
    #[arg(long, value_parser = values::threads)]
    threads: Option<NonZeroUsize>,
    /// Replace an existing output when the new one is complete
    #[arg(long)]
    overwrite: bool,
}

/// The options of commands that write Parquet.
#[derive(Debug, Args)]
pub struct WriterArguments {
    /// Compression of the output: none, snappy, lz4 or zstd
    #[arg(long, default_value_t, value_parser = values::named::<ParquetCompression>)]
    compression: ParquetCompression,
    /// The maximum number of rows in a row group of the output
    #[arg(long, value_name = "N", default_value = "1048576", value_parser = values::count)]
    row_group_rows: NonZeroUsize,
}

impl WriterArguments {
    pub fn settings(&self) -> WriterSettings {
        WriterSettings { compression: self.compression, row_group_rows: self.row_group_rows.get() }
    }
}

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let generate = GenerateFiles {
        generator: RowGenerator { distribution: arguments.distribution, seed: arguments.seed },
        rows: arguments.rows,
        files: arguments.files,
        output: arguments.out.clone(),
        overwrite: arguments.overwrite,
        settings: arguments.writer.settings(),
        threads: arguments.threads.unwrap_or_else(all_cores),
    };
    let (bar, start) = (Arc::new(RowsBar::default()), Instant::now());
    let written = run_to_end(async { Ok(generate.run(Arc::clone(&bar) as _).await?) });
    bar.clear();
    print_summary(&written?, &arguments.out, start);
    Ok(())
}

/// Prints the summary of a command that wrote rows to a stream.
pub fn print_stream_summary(rows: u64, output: &std::path::Path, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{}, {seconds:.3} s: to {}", count(rows, "row"), output.display());
}

/// Prints the summary of a command that wrote files.
pub fn print_summary(written: &WriteSummary, output: &std::path::Path, start: Instant) {
    eprintln!(
        "{}, {}, {:.3} s: {} in {}",
        count(written.rows, "row"),
        count(written.bytes, "byte"),
        start.elapsed().as_secs_f64(),
        count(written.files as u64, "file"),
        output.display()
    );
}
