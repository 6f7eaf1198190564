//! How files are read, where their names and contents do not tell it.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::config::CsvOptions;
use datafusion::common::{Result, plan_err};
use datafusion::prelude::SessionConfig;

use super::file_type::DataFormat;

/// How the files of a table are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The format; by default that which the extensions of the files stand for, or their first bytes.
    pub format: Option<DataFormat>,
    /// The syntax of CSV and TSV files.
    pub csv: CsvReadOptions,
}

/// Whether the first record of a CSV file has the names of the columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Header {
    /// It is a header unless it fits the types of the records below it, and a column is not text.
    #[default]
    Detect,
    /// It is.
    Yes,
    /// It is not: the columns are `column_1`, `column_2` and so on.
    No,
}

impl Header {
    /// The choice of a name: `detect`, `yes`, `no`, `true` or `false`, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "detect" | "auto" => Some(Self::Detect),
            "yes" | "true" => Some(Self::Yes),
            "no" | "false" => Some(Self::No),
            _ => None,
        }
    }
}

/// The syntax of CSV files, where it is not the usual one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsvReadOptions {
    /// The byte between two values: a comma by default, and a tab in TSV files.
    pub delimiter: Option<u8>,
    /// The byte around values with special bytes: `"` by default.
    pub quote: Option<u8>,
    /// The byte before a quote that is part of a quoted value. By default, such quotes are doubled.
    pub escape: Option<u8>,
    /// The first byte of lines that are skipped; none by default.
    pub comment: Option<u8>,
    /// Whether there is a header.
    pub header: Option<Header>,
    /// A text that stands for NULL where it is not quoted, besides the empty value.
    pub null: Option<String>,
}

impl CsvReadOptions {
    /// Makes these the options of all CSV files that a session reads, unless the options of a table say something else.
    pub fn install(self, config: SessionConfig) -> SessionConfig {
        config.with_extension(Arc::new(self))
    }

    /// The options of a session.
    pub(super) fn of(session: &dyn Session) -> Self {
        session
            .config()
            .get_extension::<Self>()
            .map_or_else(Self::default, |options| options.as_ref().clone())
    }

    /// These options, and those of `defaults` where these say nothing.
    #[must_use]
    pub fn or(self, defaults: &Self) -> Self {
        Self {
            delimiter: self.delimiter.or(defaults.delimiter),
            quote: self.quote.or(defaults.quote),
            escape: self.escape.or(defaults.escape),
            comment: self.comment.or(defaults.comment),
            header: self.header.or(defaults.header),
            null: self.null.or_else(|| defaults.null.clone()),
        }
    }

    /// Sets them in options of DataFusion. `has_header` is unset if the header is to be detected.
    pub(super) fn apply(&self, options: &mut CsvOptions) {
        options.delimiter = self.delimiter.unwrap_or(options.delimiter);
        options.quote = self.quote.unwrap_or(options.quote);
        options.escape = self.escape.or(options.escape);
        options.comment = self.comment.or(options.comment);
        options.has_header = match self.header {
            Some(Header::Yes) => Some(true),
            Some(Header::No) => Some(false),
            Some(Header::Detect) => None,
            None => options.has_header,
        };
        if let Some(null) = &self.null {
            options.null_value = Some(null.clone());
        }
    }
}

/// The byte that a text stands for: one ASCII character, or `\t` or `tab` for a tab.
///
/// # Errors
/// The text is no such character; the message calls it `what`.
pub fn csv_byte(what: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
        b"\\t" | b"tab" => Ok(b'\t'),
        _ => plan_err!("the {what} is one ASCII character, or \\t for a tab, not '{text}'"),
    }
}
