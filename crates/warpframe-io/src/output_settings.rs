//! How the files of an output are written.

use std::str::FromStr;

use datafusion::common::DataFusionError;
use serde::{Deserialize, Serialize};

use super::json_writer::NonFinite;
use super::writer_settings::WriterSettings;

/// A format of files that can be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputFormat {
    /// Parquet.
    #[default]
    Parquet,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
    /// A JSON array of objects.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// The Arrow IPC file format.
    Arrow,
    /// The Arrow IPC stream format.
    ArrowStream,
}

impl OutputFormat {
    /// All formats.
    pub const ALL: [Self; 7] =
        [Self::Parquet, Self::Csv, Self::Tsv, Self::Json, Self::Ndjson, Self::Arrow, Self::ArrowStream];

    /// The format that the extension of a file stands for, in lower case.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "parquet" | "pq" => Self::Parquet,
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::Ndjson,
            "arrow" | "ipc" | "feather" => Self::Arrow,
            "arrows" => Self::ArrowStream,
            _ => return None,
        })
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        self.extension()
    }

    /// The extension of files in a folder.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Arrow => "arrow",
            Self::ArrowStream => "arrows",
        }
    }
}

impl FromStr for OutputFormat {
    type Err = DataFusionError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            DataFusionError::Configuration(format!("there is no format '{name}': use one of {names}"))
        })
    }
}

/// How the files of an output are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSettings {
    /// The format of the files.
    pub format: OutputFormat,
    /// The settings of the Parquet writer.
    pub parquet: WriterSettings,
    /// What NaN and infinities become in JSON.
    pub non_finite: NonFinite,
    /// The columns whose values are in the names of folders (`column=value`) and not in the files, from the outermost on.
    pub partition_by: Vec<String>,
}

/// Parquet files without partition folders.
impl From<WriterSettings> for OutputSettings {
    fn from(parquet: WriterSettings) -> Self {
        Self { parquet, ..Self::default() }
    }
}
