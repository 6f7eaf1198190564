//! Writes the rows of a query one after the other.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use futures::{Stream, StreamExt};

use super::borders::{self, Borders};
use super::display::{Display, ShowProgress};
use super::error_recorder::{ErrorRecorder, LastError};
use super::format::Format;
use super::lines::LineWriter;
use super::non_finite::NonFinite;
use super::plans;
use super::table::{Limits, Table};
use crate::command::analysis::Analysis;
use crate::command::error::CliError;
use crate::command::query_progress::{ClearProgress, QueryProgress};
use crate::error_location::ErrorLocator;
use warpframe_io::{
    CompressedWriter, DataFormat, FileType, OutputSettings, RowWriter, WriterSettings, compression_of_path,
};

/// Runs a query and writes all its rows, with the compression that the name of the output stands for.
pub(super) async fn stream_compressed(
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
pub(super) async fn write_arrow_file(
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
pub(super) async fn stream(
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
