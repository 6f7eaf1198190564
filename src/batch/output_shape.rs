//! What the name of an output says: its format, and whether it is a file or a folder of files.

use std::path::Path;

use datafusion::common::{Result, plan_err};
use warpframe_io::OutputFormat;

/// The format of an output, and whether it is one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputShape {
    /// The format of its files.
    pub format: OutputFormat,
    /// Whether it is one file, and not a folder.
    pub is_file: bool,
}

impl OutputShape {
    /// The shape of an output of this name. A name with the extension of a format is a file of this format. A name without an
    /// extension, one that ends in '/', and the output of rows that are divided into partition folders are folders, of Parquet
    /// files unless another format is chosen. A name with another extension is a file of the chosen format.
    ///
    /// # Errors
    /// The extension is that of another format than the chosen one, or of none and no format is chosen, or that of a file where a
    /// folder is needed.
    pub fn of(output: &Path, chosen: Option<OutputFormat>, is_partitioned: bool) -> Result<Self> {
        let name = output.display();
        let extension = output.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let is_folder = output.to_string_lossy().ends_with('/') || extension.is_none();
        let meant = extension.as_deref().and_then(OutputFormat::of_extension).filter(|_| !is_folder);
        if let (Some(meant), true) = (meant, is_partitioned) {
            return plan_err!(
                "the rows are divided into folders, but '{name}' is the name of a file ({}): name a folder",
                meant.name()
            );
        }
        match (meant, chosen) {
            (Some(meant), Some(chosen)) if meant != chosen => plan_err!(
                "the output format is {}, but the extension of '{name}' means {}: leave the format out, or choose another name",
                chosen.name(),
                meant.name()
            ),
            (Some(format), _) => Ok(Self { format, is_file: true }),
            (None, chosen) if is_folder || is_partitioned || output.is_dir() => {
                Ok(Self { format: chosen.unwrap_or_default(), is_file: false })
            }
            (None, Some(format)) => Ok(Self { format, is_file: true }),
            (None, None) => plan_err!(
                "the extension of '{name}' does not tell the format: use one such as .parquet or .csv, choose the format, or let \
                 the name of a folder end in '/'"
            ),
        }
    }
}
