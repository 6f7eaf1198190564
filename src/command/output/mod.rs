//! Writes query results to stdout, a pager or a file, which becomes visible only when it is complete.

mod borders;
mod error_recorder;
mod format;
mod layout;
mod lines;
mod next_result;
mod non_finite;
mod pager;
mod plans;
pub mod stream_output;
mod table;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use futures::{Stream, StreamExt};

use self::borders::Borders;
use self::lines::LineWriter;
use self::table::Table;
use super::analysis::Analysis;
use super::error::CliError;
use super::query_progress::{ClearProgress, QueryProgress, WrittenProgress};
use super::terminal;
use crate::batch::write_query;
use crate::error_location::ErrorLocator;
use warpframe_io::{
    CompressedWriter, DataFormat, FileType, OutputSettings, Progress, RowWriter, Staging, WriterSettings,
    check_output_names, compression_of_path, is_special_file,
};

pub use self::error_recorder::{ErrorRecorder, LastError};
pub use self::format::Format;
pub use self::layout::text_width;
pub use self::next_result::{NextResult, ResultFile};
pub use self::non_finite::NonFinite;
pub use self::pager::Pager;
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
    /// Whether messages name commands of the shell instead of options.
    pub is_shell: bool,
}

/// The name of the standard output.
pub const STANDARD: &str = "-";

/// Where results go.
#[derive(Debug, Clone)]
pub enum Target {
    Stdout,
    Pager(Pager),
    File {
        path: PathBuf,
        overwrite: bool,
    },
    /// The next result goes to the file, if one waits, and the others to the second target.
    NextResult(NextResult, Box<Target>),
}

/// Until when the progress of a query is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShowProgress {
    /// Not at all: the screen is that of another program.
    Never,
    /// Until rows appear on the terminal, which are progress enough.
    UntilOutput,
    ToTheEnd,
}

impl Target {
    /// The output of a name: a file, or the standard output for `-`.
    pub fn of(path: &Path, overwrite: bool) -> Self {
        match path == Path::new(STANDARD) {
            true => Self::Stdout,
            false => Self::File { path: path.to_owned(), overwrite },
        }
    }
}

/// Runs a query, writes its rows and returns their number.
pub async fn write(query: DataFrame, display: &Display, target: &Target) -> Result<u64, CliError> {
    match target {
        Target::Stdout => print(query, display).await,
        Target::Pager(pager) => pager::write(query, display, pager).await,
        Target::File { path, overwrite } => {
            let format = Format::of_output(path, display.format)?;
            save(query, display, format, path, *overwrite).await
        }
        Target::NextResult(next, otherwise) => match next.get() {
            Some(file) => next_result::write(query, display, next, &file).await,
            None => Box::pin(write(query, display, otherwise)).await,
        },
    }
}

async fn print(query: DataFrame, display: &Display) -> Result<u64, CliError> {
    let format = display.format.unwrap_or(Format::Table);
    if let Err(refused) = format.check_stdout() {
        return Err(match display.is_shell {
            true => CliError::failure(format!(
                "{} is not for a terminal: write the next result to a file with \\o FILE, or choose another format with \\mode",
                format.name()
            )),
            false => refused,
        });
    }
    stream(query, display, format, display.limits, screen_progress(), std::io::stdout()).await
}

/// The progress of a query whose rows go to stdout.
fn screen_progress() -> ShowProgress {
    if terminal::is_terminal() { ShowProgress::UntilOutput } else { ShowProgress::ToTheEnd }
}

/// Checks that a format can be written to the standard output.
///
/// # Errors
/// Its bytes are no text, and the standard output is a terminal.
pub fn check_stdout(format: DataFormat) -> Result<(), CliError> {
    match format {
        DataFormat::Parquet | DataFormat::Avro => Format::Parquet.check_stdout(),
        DataFormat::Arrow | DataFormat::ArrowStream => Format::Arrow.check_stdout(),
        DataFormat::Csv | DataFormat::Tsv | DataFormat::Json | DataFormat::Ndjson => Ok(()),
    }
}

/// Writes to a file. A pipe or a character device is written to as stdout is: while the query runs, and without being
/// replaced.
async fn save(
    query: DataFrame,
    display: &Display,
    format: Format,
    path: &Path,
    overwrite: bool,
) -> Result<u64, CliError> {
    if format != Format::Parquet && is_special_file(path) {
        return match stream_output::open(path).await? {
            // It may be the terminal.
            Some(pipe) => {
                stream_compressed(query, display, format, ShowProgress::UntilOutput, pipe, path).await
            }
            None => {
                let stdout = std::io::stdout();
                stream_compressed(query, display, format, screen_progress(), stdout, path).await
            }
        };
    }
    if format.data_format().is_some() {
        check_output_names(query.schema().as_arrow())?;
    }
    let runtime = query.task_ctx().runtime_env();
    if format == Format::Parquet {
        // A name without an extension is that of a folder.
        let staging = match path.extension() {
            Some(_) => Staging::new_file(path, overwrite, &runtime).await?,
            None => Staging::new(path, overwrite, &runtime).await?,
        };
        let settings = WriterSettings::default();
        let progress: Arc<dyn Progress> = match display.progress {
            true => Arc::new(WrittenProgress::default()),
            false => Arc::new(()),
        };
        let written = write_query(query, Default::default(), staging, settings, progress).await?;
        return Ok(written.rows);
    }
    let refused =
        |error: std::io::Error| CliError::failure(format!("cannot write '{}': {error}", path.display()));
    let staging = Staging::new_file(path, overwrite, &runtime).await?;
    let file = std::fs::File::create(staging.shard_path(0)).map_err(refused)?;
    let written = match format {
        Format::Arrow => write_arrow_file(query, display, &file).await,
        format => stream_compressed(query, display, format, ShowProgress::ToTheEnd, &file, path).await,
    };
    let rows = match written {
        Err(CliError::Io(error)) => return Err(refused(error)),
        other => other?,
    };
    file.sync_all().map_err(refused)?;
    staging.publish().await?;
    Ok(rows)
}

/// Runs a query and writes all its rows, with the compression that the name of the output stands for.
async fn stream_compressed(
    query: DataFrame,
    display: &Display,
    format: Format,
    progress: ShowProgress,
    out: impl Write + Send,
    path: &Path,
) -> Result<u64, CliError> {
    let Some(compression) = compression_of_path(path) else {
        return stream(query, display, format, Limits::default(), progress, out).await;
    };
    let mut out = CompressedWriter::new(out, compression)?;
    let rows = stream(query, display, format, Limits::default(), progress, &mut out).await?;
    out.finish()?.flush()?;
    Ok(rows)
}

/// Writes the Arrow IPC file format, which can be read in any order.
async fn write_arrow_file(
    query: DataFrame,
    display: &Display,
    file: impl Write + Send,
) -> Result<u64, CliError> {
    let locator = ErrorLocator::of(&query);
    let context = Arc::new(query.task_ctx());
    let plan = query.create_physical_plan().await.map_err(|error| locator.locate(error))?;
    let batches = locator.stream(execute_stream(Arc::clone(&plan), context)?);
    let _progress = display.progress.then(|| QueryProgress::watch(&plan));
    let (out, last_error) = ErrorRecorder::new(file);
    write_rows(batches, DataFormat::Arrow, display.non_finite, out, &last_error).await
}

/// Runs a query and writes its rows one after the other.
async fn stream(
    query: DataFrame,
    display: &Display,
    format: Format,
    limits: Limits,
    progress: ShowProgress,
    out: impl Write + Send,
) -> Result<u64, CliError> {
    let context = Arc::new(query.task_ctx());
    let format = plans::shown_format(&query, format);
    let analysis = if format.is_for_people() { Analysis::of(&query, limits.width) } else { None };
    let limits = Limits {
        // An analysis is shown as a whole.
        rows: limits.rows.filter(|_| analysis.is_none()),
        wraps: plans::is_plan(&query),
        ..limits
    };
    let locator = ErrorLocator::of(&query);
    let located = |error| locator.locate(error);
    let mut plan = query.clone().create_physical_plan().await.map_err(located)?;
    if format.is_for_people()
        && let Some(narrower) = plans::narrower(&query, plan.as_ref(), limits.width)
    {
        plan = narrower.create_physical_plan().await.map_err(located)?;
    }
    if let Some(analysis) = analysis {
        plan = analysis.plan(plan);
    }
    let batches = locator.stream(execute_stream(Arc::clone(&plan), context)?);
    let watched = match display.progress && progress != ShowProgress::Never {
        true => QueryProgress::watch(&plan),
        false => QueryProgress::hidden(),
    };
    let (until_output, _to_the_end) = match progress {
        ShowProgress::UntilOutput => (watched, QueryProgress::hidden()),
        ShowProgress::Never | ShowProgress::ToTheEnd => (QueryProgress::hidden(), watched),
    };
    let schema = batches.schema();
    let (out, last_error) = ErrorRecorder::new(ClearProgress::new(out, until_output));
    if let Some(format) = format.data_format() {
        return write_rows(batches, format, display.non_finite, out, &last_error).await;
    }
    let out = BufWriter::new(out);
    match format {
        Format::Table => table(batches, limits, out, &borders::ASCII, display).await,
        Format::Box => table(batches, limits, out, &borders::BOX, display).await,
        Format::Markdown => {
            let plain = Display { footer: false, ..display.clone() };
            // Its lines are not cut, because other programs show it.
            let limits = Limits { width: None, ..limits };
            table(batches, limits, out, &borders::MARKDOWN, &plain).await
        }
        Format::Line => {
            let mut writer = LineWriter::new(out, &schema);
            let rows = for_each_batch(batches, |batch| writer.write(batch)).await?;
            writer.finish()?;
            Ok(rows)
        }
        _ => Err(CliError::failure(format!("{} is not a format of tables", format.name()))),
    }
}

/// Writes rows in a format of files.
async fn write_rows<W: Write + Send>(
    batches: SendableRecordBatchStream,
    format: DataFormat,
    non_finite: NonFinite,
    out: ErrorRecorder<W>,
    last: &LastError,
) -> Result<u64, CliError> {
    // The error of the output if that is why the writer has failed, which keeps only its text.
    let failed = |error: DataFusionError| match last.take() {
        Some(error) => CliError::from(error),
        None => CliError::from(error),
    };
    let settings = OutputSettings {
        file_type: FileType::plain(format),
        non_finite: non_finite.into(),
        ..OutputSettings::from(WriterSettings::default())
    };
    let mut writer = RowWriter::begin(&settings, out, &batches.schema()).map_err(failed)?;
    let rows = for_each_batch(batches, |batch| writer.write(batch).map_err(failed)).await?;
    writer.finish().map_err(failed)?;
    writer.finished_mut().map_or(Ok(()), Write::flush)?;
    Ok(rows)
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
