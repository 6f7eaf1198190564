//! Writes query results to stdout, a pager or a file, which becomes visible only when it is complete.

mod borders;
mod error_recorder;
mod format;
mod json;
mod layout;
mod lines;
mod stream_output;
mod table;

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::writer::{FileWriter, StreamWriter};
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited};
use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use futures::{Stream, StreamExt};
use parquet::arrow::ArrowWriter;

use self::borders::Borders;
use self::error_recorder::{ErrorRecorder, LastError};
use self::json::json_writer;
use self::lines::LineWriter;
use self::table::Table;
use super::analysis::Analysis;
use super::error::CliError;
use super::query_progress::QueryProgress;
use super::terminal;
use crate::batch::write_query;
use warpframe_io::{CsvWriter, Staging, WriterSettings, is_special_file};

pub use self::format::Format;
pub use self::json::NonFinite;
pub use self::layout::text_width;
pub use self::table::Limits;

/// How results are shown.
#[derive(Debug, Clone)]
pub struct Display {
    /// The format that the user has chosen. Without one it is a table, or the format that the name of a file stands for.
    pub format: Option<Format>,
    /// What NaN and infinities become in JSON.
    pub non_finite: NonFinite,
    /// What of a table on stdout is shown.
    pub limits: Limits,
    /// Whether a table on stdout has a line with the number of its rows.
    pub footer: bool,
    /// The beginning of the statement, if the line also has the time since then.
    pub started: Option<Instant>,
    /// Whether the progress of a query is shown.
    pub progress: bool,
}

/// Where results go.
#[derive(Debug, Clone)]
pub enum Target {
    Stdout,
    /// The standard input of a shell command.
    Pager(String),
    File {
        path: PathBuf,
        overwrite: bool,
    },
}

/// Runs a query, writes its rows and returns their number.
pub async fn write(query: DataFrame, display: &Display, target: &Target) -> Result<u64, CliError> {
    match target {
        Target::Stdout => print(query, display).await,
        Target::Pager(command) => page(query, display, command).await,
        Target::File { path, overwrite } => {
            let format = Format::of_output(path, display.format)?;
            save(query, display, format, path, *overwrite).await
        }
    }
}

async fn print(query: DataFrame, display: &Display) -> Result<u64, CliError> {
    let format = display.format.unwrap_or(Format::Table);
    format.check_stdout()?;
    stream(query, display, format, display.limits, std::io::stdout()).await
}

/// Writes to a pager, which shows all rows and columns.
async fn page(query: DataFrame, display: &Display, command: &str) -> Result<u64, CliError> {
    let format = display.format.filter(|format| !format.is_binary()).unwrap_or(Format::Table);
    let failed = |error| CliError::failure(format!("cannot run the pager '{command}': {error}"));
    let mut pager = Command::new("sh").args(["-c", command]).stdin(Stdio::piped()).spawn().map_err(failed)?;
    let written = match pager.stdin.take() {
        Some(stdin) => stream(query, display, format, Limits::default(), stdin).await,
        None => Ok(0),
    };
    pager.wait().map_err(failed)?;
    match written {
        // The user has quit the pager.
        Err(CliError::ClosedOutput) => Ok(0),
        other => other,
    }
}

/// Writes to a file. A pipe or a character device is written to as stdout is: while the query runs, and without being
/// replaced.
async fn save(
    query: DataFrame,
    display: &Display,
    format: Format,
    path: &std::path::Path,
    overwrite: bool,
) -> Result<u64, CliError> {
    if format != Format::Parquet && is_special_file(path) {
        let limits = Limits::default();
        return match stream_output::open(path).await? {
            Some(pipe) => stream(query, display, format, limits, pipe).await,
            None => stream(query, display, format, limits, std::io::stdout()).await,
        };
    }
    let runtime = query.task_ctx().runtime_env();
    if format == Format::Parquet {
        // A name without an extension is that of a folder.
        let staging = match path.extension() {
            Some(_) => Staging::new_file(path, overwrite, &runtime).await?,
            None => Staging::new(path, overwrite, &runtime).await?,
        };
        let settings = WriterSettings::default();
        let written = write_query(query, Default::default(), staging, settings, Arc::new(())).await?;
        return Ok(written.rows);
    }
    let refused =
        |error: std::io::Error| CliError::failure(format!("cannot write '{}': {error}", path.display()));
    let staging = Staging::new_file(path, overwrite, &runtime).await?;
    let file = std::fs::File::create(staging.shard_path(0)).map_err(refused)?;
    let written = match format {
        Format::Arrow => write_arrow_file(query, &file).await,
        format => stream(query, display, format, Limits::default(), &file).await,
    };
    let rows = match written {
        Err(CliError::Io(error)) => return Err(refused(error)),
        other => other?,
    };
    file.sync_all().map_err(refused)?;
    staging.publish().await?;
    Ok(rows)
}

/// Writes the Arrow IPC file format, which can be read in any order.
async fn write_arrow_file(query: DataFrame, file: impl Write) -> Result<u64, CliError> {
    let batches = query.execute_stream().await?;
    let (out, last_error) = ErrorRecorder::new(file);
    let failed = |error: ArrowError| output_error(error, &last_error);
    let mut writer = FileWriter::try_new_buffered(out, &batches.schema()).map_err(failed)?;
    let rows = for_each_batch(batches, |batch| writer.write(batch).map_err(failed)).await?;
    writer.finish().map_err(failed)?;
    Ok(rows)
}

/// Runs a query and writes its rows one after the other.
async fn stream(
    query: DataFrame,
    display: &Display,
    format: Format,
    limits: Limits,
    out: impl Write + Send,
) -> Result<u64, CliError> {
    let context = Arc::new(query.task_ctx());
    let analysis = if format.is_for_people() { Analysis::of(&query, limits.width) } else { None };
    // A plan is shown as a whole.
    let limits = if analysis.is_some() { Limits { rows: None, ..limits } } else { limits };
    let mut plan = query.create_physical_plan().await?;
    if let Some(analysis) = analysis {
        plan = analysis.plan(plan);
    }
    let batches = execute_stream(Arc::clone(&plan), context)?;
    // Rows that appear on the terminal while the query runs are progress enough.
    let is_quiet = !display.progress || (terminal::is_terminal() && !format.is_table());
    let _progress = (!is_quiet).then(|| QueryProgress::watch(&plan));
    let schema = batches.schema();
    let (out, last_error) = ErrorRecorder::new(out);
    let failed = |error: ArrowError| output_error(error, &last_error);
    let mut out = BufWriter::new(out);
    match format {
        Format::Table => table(batches, limits, out, &borders::ASCII, display).await,
        Format::Box => table(batches, limits, out, &borders::BOX, display).await,
        Format::Markdown => {
            let plain = Display { footer: false, ..display.clone() };
            table(batches, Limits::default(), out, &borders::MARKDOWN, &plain).await
        }
        Format::Line => {
            let mut writer = LineWriter::new(out, &schema);
            let rows = for_each_batch(batches, |batch| writer.write(batch)).await?;
            writer.finish()?;
            Ok(rows)
        }
        Format::Csv | Format::Tsv => {
            let delimiter = if format == Format::Csv { b',' } else { b'\t' };
            let mut writer = CsvWriter::begin(out, &schema, delimiter).map_err(failed)?;
            let rows = for_each_batch(batches, |batch| writer.write(batch).map_err(failed)).await?;
            writer.into_inner().flush()?;
            Ok(rows)
        }
        Format::Json => {
            write_json::<_, JsonArray>(batches, display.non_finite, &mut out, b"\n", failed).await
        }
        Format::Ndjson => {
            write_json::<_, LineDelimited>(batches, display.non_finite, &mut out, b"", failed).await
        }
        Format::Arrow => {
            let mut writer = StreamWriter::try_new(out, &schema).map_err(failed)?;
            let rows = for_each_batch(batches, |batch| writer.write(batch).map_err(failed)).await?;
            writer.finish().map_err(failed)?;
            writer.get_mut().flush()?;
            Ok(rows)
        }
        Format::Parquet => {
            let properties = WriterSettings::default().properties(&schema)?;
            let failed = |error: parquet::errors::ParquetError| failed(error.into());
            let mut writer = ArrowWriter::try_new(out, schema, Some(properties)).map_err(failed)?;
            let rows = for_each_batch(batches, |batch| writer.write(batch).map_err(failed)).await?;
            writer.into_inner().map_err(failed)?.flush()?;
            Ok(rows)
        }
    }
}

/// The error of the output if that is why a writer has failed, since Arrow's writers keep only its text.
fn output_error(error: ArrowError, last: &LastError) -> CliError {
    match last.take() {
        Some(error) => CliError::from(error),
        None => CliError::from(DataFusionError::from(error)),
    }
}

async fn table(
    batches: SendableRecordBatchStream,
    limits: Limits,
    out: impl Write,
    borders: &Borders,
    display: &Display,
) -> Result<u64, CliError> {
    let mut table = Table::new(out, batches.schema(), borders, limits);
    for_each_batch(batches, |batch| table.push(batch)).await?;
    let elapsed = display.started.map(|started| format!("{:.3} s", started.elapsed().as_secs_f64()));
    table.finish(display.footer.then_some(elapsed.as_deref()))
}

/// Writes JSON objects, and `ending` behind the last one.
async fn write_json<W: Write, F: JsonFormat>(
    batches: SendableRecordBatchStream,
    non_finite: NonFinite,
    mut out: W,
    ending: &[u8],
    failed: impl Fn(ArrowError) -> CliError + Copy,
) -> Result<u64, CliError> {
    check_names(&batches.schema())?;
    let mut writer = json_writer::<_, F>(&mut out, non_finite);
    let rows = for_each_batch(batches, |batch| writer.write(batch).map_err(failed)).await?;
    writer.finish().map_err(failed)?;
    out.write_all(ending)?;
    out.flush()?;
    Ok(rows)
}

/// Checks that no two columns have the same name, which readers of JSON objects keep one of.
fn check_names(schema: &Schema) -> Result<(), CliError> {
    let fields = schema.fields();
    let repeated = (1..fields.len())
        .find(|&number| fields[..number].iter().any(|field| field.name() == fields[number].name()));
    match repeated {
        None => Ok(()),
        Some(number) => Err(CliError::failure(format!(
            "two columns have the name '{}', which a JSON object cannot have: rename one with AS",
            fields[number].name()
        ))),
    }
}

/// Calls `write` with every batch, and returns the number of rows.
async fn for_each_batch(
    batches: impl Stream<Item = datafusion::error::Result<RecordBatch>>,
    mut write: impl FnMut(&RecordBatch) -> Result<(), CliError>,
) -> Result<u64, CliError> {
    let mut batches = std::pin::pin!(batches);
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        write(&batch)?;
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}
