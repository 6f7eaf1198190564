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
use super::output::{ErrorRecorder, NonFinite, STANDARD, stream_output};
use super::progress::RowsBar;
use super::runtime::run_to_end;
use super::statements::read;
use super::values;
use crate::batch::{BatchError, BatchRun, OutputShape};
use crate::session::Session;
use warpframe_datafusion::backend_names::{AUTO, NAMES};
use warpframe_datafusion::memory::MemoryLimit;
use warpframe_io::{DataFormat, FileType, ReadOptions, is_special_file};

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
    /// What NaN and infinities become in JSON
    #[arg(long, value_enum, default_value = "string")]
    json_non_finite: NonFinite,
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
    /// The backend of fused expressions and log3: auto, interpreted, simd, native or cuda
    #[arg(long, default_value = AUTO, value_parser = NAMES)]
    backend: String,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let init = arguments.init.as_deref().map(read).transpose()?;
    let (output, chosen) = (arguments.out.as_path(), arguments.out_format);
    let is_stream = output == Path::new(STANDARD) || is_special_file(output);
    let is_partitioned = !arguments.partition_by.is_empty();
    // Before anything else is done.
    let stream_type = match is_stream {
        true => Some(stream_type(output, chosen, is_partitioned)?),
        false => {
            shape(output, chosen, is_partitioned)?;
            None
        }
    };
    let mut session = Session::builder()
        .backend(arguments.backend)
        .memory_limit(arguments.memory_limit.unwrap_or_default());
    if let Some(threads) = arguments.threads {
        session = session.threads(threads);
    }
    if let Some(cluster) = arguments.cluster.session_settings(arguments.memory_limit.is_some())? {
        session = session.cluster(cluster);
    }
    let bar = Arc::new(RowsBar::default());
    let mut batch = session
        .build()?
        .batch_run()
        .input_options(ReadOptions { format: arguments.in_format, csv: arguments.csv.options() })
        .select(arguments.select)
        .output(output)
        .partition_by(arguments.partition_by)
        .overwrite(arguments.overwrite)
        .writer(arguments.writer.settings())
        .non_finite(arguments.json_non_finite.into())
        .progress(Arc::clone(&bar) as _);
    for input in arguments.inputs {
        batch = batch.input(input);
    }
    if let Some(format) = chosen {
        batch = batch.output_format(format);
    }
    if let Some(statements) = init {
        batch = batch.init(statements);
    }
    if let Some(condition) = arguments.filter {
        batch = batch.filter(condition);
    }
    match stream_type {
        Some(file_type) => run_to_stream(batch, output, file_type, &bar),
        None => run_to_files(batch, output, &bar),
    }
}

fn run_to_files(batch: BatchRun, output: &Path, bar: &RowsBar) -> Result<(), CliError> {
    let (query, start) = (batch.query(), Instant::now());
    // The session ends with the run, so that its cleanup is waited for.
    let written = run_to_end(async move {
        batch.run().await.map_err(|BatchError { error, .. }| CliError::query(error, &query))
    });
    bar.clear();
    print_summary(&written?, output, start);
    Ok(())
}

/// What the name of the output says.
fn shape(output: &Path, chosen: Option<DataFormat>, is_partitioned: bool) -> Result<OutputShape, CliError> {
    let shape = OutputShape::of(output, chosen, is_partitioned);
    shape.map_err(|error| CliError::usage(root_message(&error)))
}

/// The type of what is written to the standard output, a pipe or a device.
fn stream_type(
    output: &Path,
    chosen: Option<DataFormat>,
    is_partitioned: bool,
) -> Result<FileType, CliError> {
    if is_partitioned {
        return Err(CliError::usage("--partition-by needs a folder: --out is a stream"));
    }
    let file_type = match (FileType::of_path(output), chosen) {
        (Some(_), chosen) => shape(output, chosen, false)?.file_type,
        (None, Some(format)) => FileType::plain(format),
        (None, None) => {
            return Err(CliError::usage(format!(
                "the format of the {} is not known: add --out-format, such as csv, ndjson, arrows or parquet",
                stream_name(output).display()
            )));
        }
    };
    // The file format of Arrow is for readers that can go back.
    let file_type = match file_type.format {
        DataFormat::Arrow => FileType::plain(DataFormat::ArrowStream),
        _ => file_type,
    };
    if output == Path::new(STANDARD) {
        super::output::check_stdout(file_type.format)?;
    }
    Ok(file_type)
}

/// The name of a stream in messages.
fn stream_name(output: &Path) -> &Path {
    if output == Path::new(STANDARD) { Path::new("standard output") } else { output }
}

/// Writes the rows to the standard output, a pipe or a device, as they come.
fn run_to_stream(batch: BatchRun, output: &Path, file_type: FileType, bar: &RowsBar) -> Result<(), CliError> {
    let (query, start) = (batch.query(), Instant::now());
    let written = run_to_end(async move {
        let opened = match output == Path::new(STANDARD) {
            true => None,
            false => stream_output::open(output).await?,
        };
        let out: Box<dyn Write + Send> = match opened {
            Some(pipe) => Box::new(pipe),
            None => Box::new(std::io::stdout()),
        };
        let (out, last_error) = ErrorRecorder::new(out);
        batch.run_to(out, file_type).await.map_err(|BatchError { error, .. }| match last_error.take() {
            Some(error) => CliError::from(error),
            None => CliError::query(error, &query),
        })
    });
    bar.clear();
    print_stream_summary(written?, stream_name(output), start);
    Ok(())
}
