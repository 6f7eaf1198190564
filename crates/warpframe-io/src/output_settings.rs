//! How the files of an output are written.

use serde::{Deserialize, Serialize};

use super::file_type::{DataFormat, FileType};
use super::json_writer::NonFinite;
use super::writer_settings::WriterSettings;

/// How the files of an output are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSettings {
    /// The format and compression of the files.
    pub file_type: FileType,
    /// The settings of the Parquet writer.
    pub parquet: WriterSettings,
    /// What NaN and infinities become in JSON.
    pub non_finite: NonFinite,
    /// The columns whose values are in the names of folders (`column=value`) and not in the files, from the outermost on.
    pub partition_by: Vec<String>,
}

impl OutputSettings {
    /// The extension of the files, without a dot.
    pub fn extension(&self) -> String {
        self.file_type.to_string()
    }

    /// The same without compression of whole files.
    #[must_use]
    pub fn uncompressed(&self) -> Self {
        Self { file_type: FileType::plain(self.file_type.format), ..self.clone() }
    }
}

/// Parquet files without partition folders.
impl From<WriterSettings> for OutputSettings {
    fn from(parquet: WriterSettings) -> Self {
        Self {
            file_type: FileType::plain(DataFormat::Parquet),
            parquet,
            non_finite: NonFinite::default(),
            partition_by: Vec::new(),
        }
    }
}
