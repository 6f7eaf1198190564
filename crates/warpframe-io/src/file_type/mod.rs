//! Which format a file has: by the extension of its name, by the name of the format, or by its first bytes.

mod detect;

use std::fmt;
use std::path::Path;

use datafusion::common::parsers::CompressionTypeVariant;
use serde::{Deserialize, Serialize};

pub(super) use detect::{Detected, FIRST_BYTES, detect};

/// The compression of a whole file, as in `x.csv.gz`.
pub type Compression = CompressionTypeVariant;

/// A format of table files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataFormat {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values.
    Csv,
    /// CSV with tabs between values.
    Tsv,
    /// JSON: an array of objects when it is written; objects, one behind the other, can be read as well.
    Json,
    /// JSON objects, one per line; an array of objects can be read as well.
    Ndjson,
    /// The Arrow IPC file format; the stream format can be read as well.
    Arrow,
    /// The Arrow IPC stream format; the file format can be read as well.
    ArrowStream,
    /// Apache Avro object container files.
    Avro,
}

/// For each format its name and its extensions, the usual one first.
const FORMATS: [(DataFormat, &str, &[&str]); 8] = [
    (DataFormat::Parquet, "parquet", &["parquet", "pq"]),
    (DataFormat::Csv, "csv", &["csv"]),
    (DataFormat::Tsv, "tsv", &["tsv", "tab"]),
    (DataFormat::Json, "json", &["json"]),
    (DataFormat::Ndjson, "ndjson", &["ndjson", "jsonl"]),
    (DataFormat::Arrow, "arrow", &["arrow", "ipc", "feather"]),
    (DataFormat::ArrowStream, "arrows", &["arrows"]),
    (DataFormat::Avro, "avro", &["avro"]),
];

/// The extensions of compressed files, the usual one of a compression first.
const COMPRESSIONS: [(&str, Compression); 5] = [
    ("gz", Compression::GZIP),
    ("zst", Compression::ZSTD),
    ("bz2", Compression::BZIP2),
    ("xz", Compression::XZ),
    ("gzip", Compression::GZIP),
];

impl DataFormat {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Self> {
        FORMATS.iter().map(|(format, ..)| *format)
    }

    /// The name of the format on the command line and in SQL, in lower case.
    pub fn name(self) -> &'static str {
        FORMATS.iter().find(|(format, ..)| *format == self).map_or("", |(_, name, _)| name)
    }

    /// The format of a [`name`](Self::name) or an extension, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let found = FORMATS
            .iter()
            .find(|(_, known, extensions)| *known == name || extensions.contains(&name.as_str()));
        found.map(|(format, ..)| *format)
    }

    /// The names of all formats, separated by commas.
    pub fn names() -> String {
        FORMATS.map(|(_, name, _)| name).join(", ")
    }

    /// The extensions of all formats, as in `.parquet, .csv`.
    pub fn extensions() -> String {
        let all = FORMATS.iter().flat_map(|(.., extensions)| *extensions);
        all.map(|extension| format!(".{extension}")).collect::<Vec<_>>().join(", ")
    }

    /// The usual extension of files, without a dot.
    pub fn extension(self) -> &'static str {
        FORMATS.iter().find(|(format, ..)| *format == self).map_or("", |(.., extensions)| extensions[0])
    }

    /// Whether the files are text, which may be compressed as a whole. The other formats compress their parts.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv | Self::Json | Self::Ndjson)
    }

    /// Whether one reader reads the files of both formats, as with the two of JSON.
    pub(super) fn is_read_as(self, other: Self) -> bool {
        use DataFormat::{Json, Ndjson};
        self == other || matches!((self, other), (Json, Ndjson) | (Ndjson, Json))
    }
}

impl fmt::Display for DataFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The format of a file, and its compression as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileType {
    /// The format.
    pub format: DataFormat,
    /// The compression, which only text formats have.
    pub compression: Compression,
}

impl FileType {
    /// Files of a format without compression.
    pub fn plain(format: DataFormat) -> Self {
        Self { format, compression: Compression::UNCOMPRESSED }
    }

    /// The type that the extension of a path or URL stands for, as in `x.parquet` or `x.csv.gz`, in any case. `None` if the
    /// extension is unknown, or one of compression at the name of a format that is not text.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = extension(path)?;
        let Some(compression) = compression_of(&extension) else {
            return DataFormat::from_name(&extension).map(Self::plain);
        };
        let format = DataFormat::from_name(&self::extension(Path::new(path.file_stem()?))?)?;
        format.is_text().then_some(Self { format, compression })
    }

    /// The type of a file of a known format: its compression is that of the extension.
    pub fn with_format(format: DataFormat, path: &Path) -> Self {
        let compression = compression_of_path(path).filter(|_| format.is_text());
        Self { format, compression: compression.unwrap_or(Compression::UNCOMPRESSED) }
    }

    /// Whether one table can have files of both types.
    pub(super) fn is_read_as(self, other: Self) -> bool {
        self.compression == other.compression && self.format.is_read_as(other.format)
    }
}

impl fmt::Display for FileType {
    /// As in `csv.gz`: the usual extensions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format.extension())?;
        match COMPRESSIONS.iter().find(|(_, compression)| *compression == self.compression) {
            Some((extension, _)) => write!(f, ".{extension}"),
            None => Ok(()),
        }
    }
}

impl From<FileType> for String {
    fn from(file_type: FileType) -> Self {
        file_type.to_string()
    }
}

impl TryFrom<String> for FileType {
    type Error = String;

    /// The type of [`Display`](fmt::Display)'s text.
    fn try_from(extensions: String) -> Result<Self, String> {
        let name = format!("x.{extensions}");
        Self::of_path(Path::new(&name)).ok_or_else(|| format!("there is no type of files '{extensions}'"))
    }
}

/// The compression that the extension of a path stands for; `None` if it stands for none.
pub fn compression_of_path(path: &Path) -> Option<Compression> {
    compression_of(&extension(path)?)
}

/// The last extension of a path, in lower case.
fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

fn compression_of(extension: &str) -> Option<Compression> {
    COMPRESSIONS.iter().find(|(known, _)| *known == extension).map(|(_, compression)| *compression)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_stands_for_a_format_and_a_compression() {
        let of = |path: &str| FileType::of_path(Path::new(path)).map(|found| found.to_string());
        for (path, found) in [
            ("a/b.PARQUET", "parquet"),
            ("b.pq", "parquet"),
            ("b.v2.csv", "csv"),
            ("b.tab", "tsv"),
            ("b.jsonl.zst", "ndjson.zst"),
            ("b.csv.gzip", "csv.gz"),
            ("s3://bucket/b.json.bz2", "json.bz2"),
            ("b.arrows", "arrows"),
            ("b.feather", "arrow"),
            ("b.avro", "avro"),
            ("b.tsv.xz", "tsv.xz"),
        ] {
            assert_eq!(of(path).as_deref(), Some(found), "{path}");
        }
        for path in ["b", "b.gz", "b.parquet.gz", "b.txt", ".csv", "csv/b"] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn names_of_formats_are_distinct_and_known() {
        for format in DataFormat::all() {
            assert_eq!(DataFormat::from_name(&format.name().to_uppercase()), Some(format));
            assert_eq!(DataFormat::from_name(format.extension()), Some(format));
        }
    }
}
