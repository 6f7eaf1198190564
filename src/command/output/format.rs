//! The formats of results.

use std::io::IsTerminal;
use std::path::Path;

use clap::ValueEnum;

use warpframe_io::{DataFormat, compression_of_path, is_special_file};

use crate::command::error::CliError;

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table of ASCII characters
    Table,
    /// A table of line-drawing characters
    Box,
    /// A Markdown table
    Markdown,
    /// One line for each value: NAME = VALUE
    Line,
    /// Comma-separated values with a header line
    Csv,
    /// Tab-separated values with a header line
    Tsv,
    /// A JSON array of objects
    Json,
    /// One JSON object per line
    Ndjson,
    /// Parquet
    Parquet,
    /// Arrow IPC: the file format in a file, and the stream format on stdout and in pipes
    Arrow,
    /// Arrow IPC: the stream format
    Arrows,
    /// Apache Avro
    Avro,
}

/// Extensions of file names, and the format that each stands for. The first one of a format is the usual one.
const EXTENSIONS: [(&str, Format); 15] = [
    ("parquet", Format::Parquet),
    ("pq", Format::Parquet),
    ("csv", Format::Csv),
    ("tsv", Format::Tsv),
    ("tab", Format::Tsv),
    ("json", Format::Json),
    ("ndjson", Format::Ndjson),
    ("jsonl", Format::Ndjson),
    ("arrow", Format::Arrow),
    ("ipc", Format::Arrow),
    ("feather", Format::Arrow),
    ("arrows", Format::Arrows),
    ("avro", Format::Avro),
    ("md", Format::Markdown),
    ("txt", Format::Table),
];

impl Format {
    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The format of a name in the shell.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::from_str(name, true).ok()
    }

    /// The names of all formats.
    pub fn names() -> String {
        Self::value_variants().iter().map(|format| format.name()).collect::<Vec<_>>().join(", ")
    }

    /// Whether the bytes are no text.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow | Self::Arrows | Self::Avro)
    }

    /// The format of files with the same rows; `None` for tables and lines of text. Arrow is the stream format.
    pub fn data_format(self) -> Option<DataFormat> {
        Some(match self {
            Self::Table | Self::Box | Self::Markdown | Self::Line => return None,
            Self::Csv => DataFormat::Csv,
            Self::Tsv => DataFormat::Tsv,
            Self::Json => DataFormat::Json,
            Self::Ndjson => DataFormat::Ndjson,
            Self::Parquet => DataFormat::Parquet,
            Self::Arrow | Self::Arrows => DataFormat::ArrowStream,
            Self::Avro => DataFormat::Avro,
        })
    }

    /// Whether people read the result, and not programs.
    pub fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Box | Self::Markdown)
    }

    /// The format of an output: that of `--format`, or the one that its extension stands for. The extension of a compressed
    /// file, such as `.gz`, follows that of the format.
    ///
    /// # Errors
    /// The extension stands for another format than `--format`, for a compressed file of a format that is no text or, without
    /// `--format`, for none.
    pub fn of_output(path: &Path, chosen: Option<Self>) -> Result<Self, CliError> {
        let name = path.display();
        let is_compressed = compression_of_path(path).is_some();
        let of_format = if is_compressed { path.with_extension("") } else { path.to_owned() };
        let extension = of_format.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let extension = extension.as_deref().unwrap_or_default();
        let meant = EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|(_, format)| *format);
        let format = Self::agreed(path, meant, chosen)?;
        match is_compressed && format.is_binary() {
            true => Err(CliError::usage(format!(
                "'{name}' cannot be written: only text is compressed as a whole, and {} is not; choose a name without .{}",
                format.name(),
                path.extension().unwrap_or_default().display()
            ))),
            false => Ok(format),
        }
    }

    /// The format that both the extension and `--format` mean.
    fn agreed(path: &Path, meant: Option<Self>, chosen: Option<Self>) -> Result<Self, CliError> {
        let name = path.display();
        match (meant, chosen) {
            // Tables differ in their lines only.
            (Some(Self::Table), Some(chosen @ (Self::Box | Self::Markdown | Self::Line))) => Ok(chosen),
            (Some(meant), Some(chosen)) if meant != chosen => Err(CliError::usage(format!(
                "--format is {}, but the extension of '{name}' means {}: leave --format out, or choose another name",
                chosen.name(),
                meant.name()
            ))),
            (Some(format), _) | (None, Some(format)) => Ok(format),
            // A pipe or a device is written as stdout is.
            (None, None) if is_special_file(path) => Ok(Self::Table),
            (None, None) => Err(CliError::usage(format!(
                "the name '{name}' does not tell the format: add an extension such as .parquet or .csv, or --format, which is \\mode in the shell"
            ))),
        }
    }

    /// Checks that the format can be written to stdout.
    ///
    /// # Errors
    /// Its bytes are no text, and stdout is a terminal.
    pub fn check_stdout(self) -> Result<(), CliError> {
        match self.is_binary() && std::io::stdout().is_terminal() {
            true => Err(CliError::usage(format!(
                "{} is not for a terminal: add --out FILE, or write stdout to a file or pipe",
                self.name()
            ))),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_and_a_contradiction_is_an_error() {
        let of = |name: &str, chosen| Format::of_output(Path::new(name), chosen);
        assert_eq!(of("a/b.PARQUET", None).unwrap(), Format::Parquet);
        assert_eq!(of("b.jsonl", None).unwrap(), Format::Ndjson);
        assert_eq!(of("b.csv", Some(Format::Csv)).unwrap(), Format::Csv);
        assert_eq!(of("result", Some(Format::Csv)).unwrap(), Format::Csv);
        assert_eq!(of("result.txt", Some(Format::Box)).unwrap(), Format::Box);
        assert_eq!(of("b.csv.gz", None).unwrap(), Format::Csv);
        assert_eq!(of("b.gz", Some(Format::Ndjson)).unwrap(), Format::Ndjson);
        assert_eq!(of("b.arrows", None).unwrap(), Format::Arrows);
        assert_eq!(of("result.dat", Some(Format::Arrow)).unwrap(), Format::Arrow);
        for (name, chosen) in [
            ("b.csv", Some(Format::Parquet)),
            ("b.parquet", Some(Format::Table)),
            ("b", None),
            ("b.dat", None),
            ("b.csv.gz", Some(Format::Tsv)),
            ("b.parquet.gz", None),
            ("b.gz", None),
        ] {
            assert!(of(name, chosen).is_err(), "{name} {chosen:?}");
        }
    }
}
