//! Writes query results to stdout, a pager or a file, which becomes visible only when it is complete.

mod borders;
mod display;
mod error_recorder;
mod format;
mod layout;
mod lines;
mod next_result;
mod non_finite;
mod pager;
mod plans;
mod rows;
mod save;
pub mod stream_output;
mod table;

use std::path::{Path, PathBuf};

use datafusion::dataframe::DataFrame;

use self::display::screen_progress;
use self::rows::stream;
use self::save::save;
use super::error::CliError;
use warpframe_io::DataFormat;

pub use self::display::Display;
pub use self::error_recorder::ErrorRecorder;
pub use self::format::Format;
pub use self::layout::text_width;
pub use self::next_result::{NextResult, ResultFile};
pub use self::non_finite::NonFinite;
pub use self::pager::Pager;
pub use self::table::Limits;

/// The name of the standard input and output.
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
