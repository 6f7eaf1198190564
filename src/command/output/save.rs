//! Writes results to files.

use std::path::Path;
use std::sync::Arc;

use datafusion::dataframe::DataFrame;

use super::display::{Display, ShowProgress, screen_progress};
use super::format::Format;
use super::rows::{stream_compressed, write_arrow_file};
use super::stream_output;
use crate::batch::write_query;
use crate::command::error::CliError;
use crate::command::query_progress::WrittenProgress;
use warpframe_io::{Progress, Staging, WriterSettings, check_output_names, is_special_file};

/// Writes to a file. A pipe or a character device is written to as stdout is: while the query runs, and without being
/// replaced.
pub(super) async fn save(
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
