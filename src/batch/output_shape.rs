//! What the name of an output says: its format, and whether it is a file or a folder of files.

use std::path::Path;

use datafusion::common::{Result, plan_err};
use warpframe_io::{DataFormat, FileType, compression_of_path};

/// The type of an output's files, and whether it is one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputShape {
    /// The format and compression of its files.
    pub file_type: FileType,
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
    pub fn of(output: &Path, chosen: Option<DataFormat>, is_partitioned: bool) -> Result<Self> {
        let name = output.display();
        let is_folder = output.to_string_lossy().ends_with('/') || output.extension().is_none();
        let meant = FileType::of_path(output).filter(|_| !is_folder);
        if let (Some(meant), true) = (meant, is_partitioned) {
            return plan_err!(
                "the rows are divided into folders, but '{name}' is the name of a file ({meant}): name a folder"
            );
        }
        let compression = compression_of_path(output).filter(|_| !is_folder && meant.is_none());
        match (meant, chosen) {
            (Some(meant), Some(chosen)) if meant.format != chosen => plan_err!(
                "the output format is {chosen}, but the extension of '{name}' means {}: leave the format out, or choose another name",
                meant.format
            ),
            (Some(file_type), _) => Ok(Self { file_type, is_file: true }),
            (None, Some(chosen)) if compression.is_some() && !chosen.is_text() => plan_err!(
                "'{name}' would not be compressed as a whole, because {chosen} compresses its parts: choose another name"
            ),
            (None, Some(chosen)) if compression.is_some() => {
                Ok(Self { file_type: FileType::with_format(chosen, output), is_file: true })
            }
            (None, chosen) if is_folder || is_partitioned || output.is_dir() => {
                let file_type = FileType::plain(chosen.unwrap_or(DataFormat::Parquet));
                Ok(Self { file_type, is_file: false })
            }
            (None, Some(format)) => Ok(Self { file_type: FileType::plain(format), is_file: true }),
            (None, None) => plan_err!(
                "the extension of '{name}' does not tell the format: use one of {}, choose the format, or let the name of a folder \
                 end in '/'",
                DataFormat::extensions()
            ),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn the_name_and_the_chosen_format_decide() {
        let of = |name: &str, chosen: Option<&str>, is_partitioned| {
            let chosen = chosen.map(|name| DataFormat::from_name(name).unwrap());
            let shape = OutputShape::of(Path::new(name), chosen, is_partitioned).ok()?;
            Some((shape.file_type.to_string(), shape.is_file))
        };
        for (name, chosen, is_partitioned, expected) in [
            ("b.parquet", None, false, Some(("parquet", true))),
            ("a/b.CSV", None, false, Some(("csv", true))),
            ("b.csv.gz", None, false, Some(("csv.gz", true))),
            ("b.csv.gz", Some("csv"), false, Some(("csv.gz", true))),
            ("b.gz", Some("ndjson"), false, Some(("ndjson.gz", true))),
            ("s3://bucket/b.arrows", None, false, Some(("arrows", true))),
            ("b", None, false, Some(("parquet", false))),
            ("b", Some("csv"), false, Some(("csv", false))),
            ("b.v2/", None, false, Some(("parquet", false))),
            ("b.v2", Some("tsv"), false, Some(("tsv", true))),
            ("b.v2", Some("tsv"), true, Some(("tsv", false))),
            ("b.v2", None, true, Some(("parquet", false))),
            ("b.csv", Some("parquet"), false, None),
            ("b.gz", Some("parquet"), false, None),
            ("b.gz", None, false, None),
            ("b.xlsx", None, false, None),
            ("b.csv", None, true, None),
        ] {
            let expected = expected.map(|(file_type, is_file)| (file_type.to_owned(), is_file));
            assert_eq!(of(name, chosen, is_partitioned), expected, "{name} {chosen:?} {is_partitioned}");
        }
    }
}
