//! CSV files: reading, type inference and writing.
//!
//! DataFusion's reader splits large files at line breaks inside of quotes (apache/datafusion#11472), takes columns by
//! their position in each file (apache/datafusion#4918), and cannot tell an empty text from NULL (apache/arrow-rs#6874). [`CsvFormat`] replaces it in `open_table` and in
//! SQL (`CREATE EXTERNAL TABLE`, `COPY`). Its rules:
//!
//! - Records, quotes and doubled quotes are those of RFC 4180. A line ends with LF, CR LF or CR. Blank lines are skipped,
//!   except in files of one column, where they are NULL.
//! - An empty value is NULL, and a quoted empty value (`""`) is an empty text; in columns of other types both are NULL.
//! - The first record is a header unless it fits the types of the records below it, and one of them is not text.
//! - Columns are found by the names in the header of each file.
//! - A large local file is read by several threads if no quoted value has a line break, which is checked before.

mod column_map;
mod decoder;
mod delimiter_hint;
mod dialect;
mod factory;
mod format;
mod header;
mod input;
mod quoted_newlines;
mod record_reader;
mod replace_scans;
mod scan;
mod schema;
mod sink;
mod text_columns;
mod type_inference;
mod writer;

pub use dialect::CsvDialect;
pub use factory::CsvFormatFactory;
pub use format::CsvFormat;
pub use replace_scans::ReplaceCsvScans;
pub use scan::CsvScan;
pub use sink::CsvSink;
pub(super) use type_inference::Kinds;
pub use writer::CsvWriter;

/// A fault in a CSV file.
#[derive(Debug)]
struct CsvError {
    /// The line of the file, from 1, or of the part of it that is read.
    line: u64,
    message: String,
}

impl CsvError {
    fn new(line: u64, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}
