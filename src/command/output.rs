//! Writes query results to stdout, or to a file that becomes visible only when it is complete.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use clap::ValueEnum;
use datafusion::dataframe::DataFrame;
use futures::{Stream, StreamExt};

use super::error::CliError;
use super::error_recorder::ErrorRecorder;
use super::table::TableWriter;
use crate::batch::write_query;
use warpframe_io::{CsvWriter, Staging, WriterSettings, is_special_file};

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A text table
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// One JSON object per line
    Ndjson,
    /// Parquet; needs --out
    Parquet,
}

/// Runs a query, writes its rows to stdout and returns their number.
pub async fn print(query: DataFrame, format: Format) -> Result<u64, CliError> {
    write(query, format, std::io::stdout().lock()).await
}

/// Runs a query, writes its rows to a file and returns their number. A pipe or a character device is written to as stdout
/// is: while the query runs, and without being replaced.
pub async fn save(query: DataFrame, format: Format, path: &Path, overwrite: bool) -> Result<u64, CliError> {
    if format != Format::Parquet && is_special_file(path) {
        return match super::stream_output::open(path).await? {
            Some(stream) => write(query, format, stream).await,
            None => print(query, format).await,
        };
    }
    let runtime = query.task_ctx().runtime_env();
    if format == Format::Parquet {
        let staging = Staging::new(path, overwrite, &runtime).await?;
        let settings = WriterSettings::default();
        let written = write_query(query, Default::default(), staging, settings, Arc::new(())).await?;
        return Ok(written.rows);
    }
    let refused =
        |error: std::io::Error| CliError::failure(format!("cannot write '{}': {error}", path.display()));
    let staging = Staging::new_file(path, overwrite, &runtime).await?;
    let file = std::fs::File::create(staging.shard_path(0)).map_err(refused)?;
    let rows = match write(query, format, &file).await {
        Err(CliError::Io(error)) => return Err(refused(error)),
        other => other?,
    };
    file.sync_all().map_err(refused)?;
    staging.publish().await?;
    Ok(rows)
}

async fn write(query: DataFrame, format: Format, out: impl Write) -> Result<u64, CliError> {
    let mut stream = query.execute_stream().await?;
    let schema = stream.schema();
    let (out, last_error) = ErrorRecorder::new(out);
    let output_error = |error: ArrowError| match last_error.take() {
        Some(error) => CliError::from(error),
        None => CliError::failure(error),
    };
    let out = BufWriter::new(out);
    match format {
        Format::Table => {
            let first = stream.next().await.transpose()?;
            let mut table = TableWriter::begin(out, &schema, first.as_ref())?;
            let first = futures::stream::iter(first.map(Ok));
            let rows = for_each_batch(first.chain(stream), |batch| table.write(batch)).await?;
            table.finish()?;
            Ok(rows)
        }
        Format::Csv => {
            let mut writer = CsvWriter::begin(out, &schema).map_err(output_error)?;
            let rows = for_each_batch(stream, |batch| writer.write(batch).map_err(output_error)).await?;
            writer.into_inner().flush()?;
            Ok(rows)
        }
        Format::Ndjson => {
            let mut writer = LineDelimitedWriter::new(out);
            let rows = for_each_batch(stream, |batch| writer.write(batch).map_err(output_error)).await?;
            writer.finish().map_err(output_error)?;
            writer.into_inner().flush()?;
            Ok(rows)
        }
        Format::Parquet => Err(CliError::usage("Parquet is not for a terminal: add --out FILE.parquet")),
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
