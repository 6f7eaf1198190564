//! `warpframe run`: evaluates expressions over files and writes files.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;

use super::cluster::ClusterArguments;
use super::csv_options::CsvArguments;
use super::error::{CliError, root_message};
use super::generate::{WriterArguments, print_stream_summary, print_summary};
use super::output::{ErrorRecorder, stream_output};
use super::progress::RowsBar;
use super::runtime::run_to_end;
use super::statements::read;
use super::values;
use crate::batch::{BatchError, BatchRun, OutputShape};
use warpframe_datafusion::backend_names::{AUTO, NAMES};
use warpframe_datafusion::memory::MemoryLimit;
use warpframe_io::{DataFormat, FileType, ReadOptions, is_special_file};

/// The name of the standard input and output.
const STANDARD: &str = "-";

#[derive(Debug, Args)]
pub struct Arguments {
    /// The input: files, folders, globs or URLs such as s3://BUCKET/PATH, which have the same columns; - is the standard input. The
    /// option can be repeated
    #[arg(long = "in", value_name = "PATH", num_args = 1.., required = true)]
    inputs: Vec<String>,
    /// The format of the input; by default that of the extensions, or of the first bytes
    #[arg(long, value_name = "FORMAT", value_parser = values::data_format)]
    in_format: Option<DataFormat>,
    #[command(flatten)]
    csv: CsvArguments,
    /// Run the SQL statements in this file first, such as CREATE FUNCTION
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// The SQL expressions of the output columns, such as 'id, log3(x,y,z) AS r'
    #[arg(long, value_name = "EXPRESSIONS", allow_hyphen_values = true)]
    select: String,
    /// A SQL condition that selects rows
    #[arg(long = "where", value_name = "CONDITION", allow_hyphen_values = true)]
    filter: Option<String>,
    /// The output: a file if the name has the extension of a format, such as .parquet or .csv; a folder with one file per thread if
    /// it has none or ends in '/'; - is the standard output
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// The format of the output: parquet, csv, tsv, json, ndjson, arrow, arrows or avro; by default that of the extension, and
    /// parquet in a folder
    #[arg(long, value_name = "FORMAT", value_parser = values::data_format)]
    out_format: Option<DataFormat>,
    /// Divide the rows into folders COLUMN=VALUE of the output folder, by these columns of the output
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    partition_by: Vec<String>,
    #[command(flatten)]
    writer: WriterArguments,
    /// The number of threads; all cores by default
    #[arg(long, value_parser = values::threads)]
    threads: Option<NonZeroUsize>,
    /// The memory limit of operators and writers: a size such as 512MiB, a percentage of the memory such as 50%, or none; 75% by
    /// default
    #[arg(long, value_name = "LIMIT", value_parser = values::named::<MemoryLimit>)]
    memory_limit: Option<MemoryLimit>,
    /// Replace an existing output when the new one is complete
    #[arg(long)]
    overwrite: bool,
    /// The backend of fused expressions and log3: auto, interpreted, simd or cuda
    #[arg(long, default_value = AUTO, value_parser = NAMES)]
    backend: String,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let init = arguments.init.as_deref().map(read).transpose()?;
    let batch = BatchRun {
        init,
        inputs: arguments.inputs,
        input_options: ReadOptions { format: arguments.in_format, csv: arguments.csv.options() },
        select: arguments.select,
        filter: arguments.filter,
        output: arguments.out,
        output_format: arguments.out_format,
        partition_by: arguments.partition_by,
        overwrite: arguments.overwrite,
        settings: arguments.writer.settings(),
        threads: arguments.threads,
        memory_limit: arguments.memory_limit.unwrap_or_default(),
        backend: arguments.backend,
        cluster: arguments.cluster.settings()?,
    };
    let is_stream = batch.output == Path::new(STANDARD) || is_special_file(&batch.output);
    match is_stream {
        true => run_to_stream(&batch),
        false => run_to_files(&batch),
    }
}

fn run_to_files(batch: &BatchRun) -> Result<(), CliError> {
    // Before anything else is done.
    shape(batch, batch.output_format)?;
    let (bar, start) = (Arc::new(RowsBar::default()), Instant::now());
    let query = batch.query();
    let written = run_to_end(async {
        batch.run(Arc::clone(&bar) as _).await.map_err(|error| CliError::query(error, &query))
    });
    bar.clear();
    print_summary(&written?, &batch.output, start);
    Ok(())
}

/// What the name of the output says.
fn shape(batch: &BatchRun, chosen: Option<DataFormat>) -> Result<OutputShape, CliError> {
    let shape = OutputShape::of(&batch.output, chosen, !batch.partition_by.is_empty());
    shape.map_err(|error| CliError::usage(root_message(&error)))
}

/// Writes the rows to the standard output, a pipe or a device, as they come.
fn run_to_stream(batch: &BatchRun) -> Result<(), CliError> {
    let is_standard = batch.output == Path::new(STANDARD);
    let name = if is_standard { Path::new("standard output") } else { &batch.output };
    if !batch.partition_by.is_empty() {
        return Err(CliError::usage("--partition-by needs a folder: --out is a stream"));
    }
    let file_type = match (FileType::of_path(&batch.output), batch.output_format) {
        (Some(_), chosen) => shape(batch, chosen)?.file_type,
        (None, Some(format)) => FileType::plain(format),
        (None, None) => {
            return Err(CliError::usage(format!(
                "the format of the {} is not known: add --out-format, such as csv, ndjson, arrows or parquet",
                name.display()
            )));
        }
    };
    // The file format of Arrow is for readers that can go back.
    let file_type = match file_type.format {
        DataFormat::Arrow => FileType::plain(DataFormat::ArrowStream),
        _ => file_type,
    };
    if is_standard {
        super::output::check_stdout(file_type.format)?;
    }
    let (bar, start) = (Arc::new(RowsBar::default()), Instant::now());
    let query = batch.query();
    let written = run_to_end(async {
        let session = batch.session()?;
        let opened = match is_standard {
            true => None,
            false => stream_output::open(&batch.output).await?,
        };
        let out: Box<dyn Write + Send> = match opened {
            Some(pipe) => Box::new(pipe),
            None => Box::new(std::io::stdout()),
        };
        let (out, last_error) = ErrorRecorder::new(out);
        let written = batch.run_to(&session, out, file_type, Arc::clone(&bar) as _).await;
        written.map_err(|BatchError { error, .. }| match last_error.take() {
            Some(error) => CliError::from(error),
            None => CliError::query(error, &query),
        })
    });
    bar.clear();
    print_stream_summary(written?, name, start);
    Ok(())
}
