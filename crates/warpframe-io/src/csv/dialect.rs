//! The syntax of CSV files.

use datafusion::common::config::CsvOptions;
use serde::{Deserialize, Serialize};

/// The syntax of a table's CSV files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvDialect {
    /// Whether the first record of each file has the names of the columns.
    pub has_header: bool,
    /// Whether that was found in one of the files, and has to be so in each.
    pub is_header_detected: bool,
    /// The byte between two values.
    pub delimiter: u8,
    /// The byte around values that contain special bytes; inside of them it is doubled.
    pub quote: u8,
    /// The byte before a quote that is part of a quoted value.
    pub escape: Option<u8>,
    /// The byte at the end of a record; by default LF, CR LF or CR.
    pub terminator: Option<u8>,
    /// The first byte of lines that are skipped.
    pub comment: Option<u8>,
    /// Whether a record may have fewer values than there are columns. The missing ones are NULL.
    pub truncated_rows: bool,
    /// A text that is NULL where it is not quoted, besides the empty value.
    pub null_text: Option<String>,
    /// A regular expression: unquoted and quoted values that match it are NULL, and empty ones are not.
    pub null_regex: Option<String>,
}

impl CsvDialect {
    /// The dialect of DataFusion's options. `has_header` is used where the options say nothing.
    pub fn new(options: &CsvOptions, has_header: bool) -> Self {
        Self {
            has_header: options.has_header.unwrap_or(has_header),
            is_header_detected: false,
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
            terminator: options.terminator,
            comment: options.comment,
            truncated_rows: options.truncated_rows.unwrap_or(false),
            null_text: options.null_value.clone().filter(|text| !text.is_empty()),
            null_regex: options.null_regex.clone(),
        }
    }

    /// Whether a byte ends a record.
    pub(super) fn ends_record(&self, byte: u8) -> bool {
        match self.terminator {
            Some(terminator) => byte == terminator,
            None => byte == b'\n' || byte == b'\r',
        }
    }
}
