//! The options for CSV files that a command reads.

use clap::{Args, ValueEnum};

use super::values;
use warpframe_io::{CsvReadOptions, Header};

#[derive(Debug, Args)]
pub struct CsvArguments {
    /// The character between the values of CSV files that are read; \t is a tab
    #[arg(long, value_name = "CHARACTER", value_parser = values::csv_byte, allow_hyphen_values = true)]
    csv_delimiter: Option<u8>,
    /// The character around values in CSV files that are read
    #[arg(long, value_name = "CHARACTER", value_parser = values::csv_byte, allow_hyphen_values = true)]
    csv_quote: Option<u8>,
    /// Whether the first line of CSV files that are read has the names of the columns
    #[arg(long, value_enum, value_name = "WHEN")]
    csv_header: Option<HeaderArgument>,
    /// A text that is NULL in CSV files that are read, besides the empty value
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    csv_null: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HeaderArgument {
    /// It has, unless it fits the types of the lines below (the default)
    Detect,
    /// It has
    Yes,
    /// It has not: columns are column_1, column_2 and so on
    No,
}

impl CsvArguments {
    /// The options that were given.
    pub fn options(&self) -> CsvReadOptions {
        CsvReadOptions {
            delimiter: self.csv_delimiter,
            quote: self.csv_quote,
            header: self.csv_header.map(|header| match header {
                HeaderArgument::Detect => Header::Detect,
                HeaderArgument::Yes => Header::Yes,
                HeaderArgument::No => Header::No,
            }),
            null: self.csv_null.clone(),
            ..CsvReadOptions::default()
        }
    }
}
