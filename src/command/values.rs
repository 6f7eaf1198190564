//! Parsers for option values.

use std::num::NonZeroUsize;
use std::str::FromStr;

use datafusion::common::DataFusionError;

use super::error::root_message;
use warpframe_datafusion::rows::MAX_ROWS;
use warpframe_io::DataFormat;

/// A number of rows: `10000000`, `10_000_000`, `1e7` or `10M`.
pub fn rows(text: &str) -> Result<u64, String> {
    let plain = text.replace('_', "");
    let number = match plain.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G']) {
        Some(number) => {
            let factor = match plain.as_bytes().last() {
                Some(b'k' | b'K') => 1e3,
                Some(b'm' | b'M') => 1e6,
                _ => 1e9,
            };
            number.parse::<f64>().map(|number| number * factor)
        }
        None => plain.parse::<f64>(),
    };
    match number {
        // Integers up to 2^53 are exact in f64.
        Ok(number) if number >= 1.0 && number <= MAX_ROWS as f64 && number.fract() == 0.0 => {
            Ok(number as u64)
        }
        _ => Err(format!(
            "a whole number of rows from 1 to {MAX_ROWS} is needed, such as 10000000, 1e7 or 10M"
        )),
    }
}

/// A count of at least one.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "a whole number from 1 is needed".to_owned())
}

/// The number of rows of a table that are shown; all if `None`.
#[derive(Debug, Clone, Copy)]
pub struct MaxRows(pub Option<usize>);

/// `all`, or a number of rows from 1.
pub fn max_rows(text: &str) -> Result<MaxRows, String> {
    match (text, text.replace('_', "").parse::<NonZeroUsize>()) {
        ("all", _) => Ok(MaxRows(None)),
        (_, Ok(rows)) => Ok(MaxRows(Some(rows.get()))),
        _ => Err("a whole number from 1 is needed, or all".to_owned()),
    }
}

/// A number of threads.
pub fn threads(text: &str) -> Result<NonZeroUsize, String> {
    const MAX: usize = 4096;
    match text.parse::<NonZeroUsize>() {
        Ok(threads) if threads.get() <= MAX => Ok(threads),
        _ => Err(format!("a whole number from 1 to {MAX} is needed")),
    }
}

/// A byte of the syntax of CSV: an ASCII character, or `\t` for a tab.
pub fn csv_byte(text: &str) -> Result<u8, String> {
    warpframe_io::csv_byte("character", text).map_err(|error| root_message(&error))
}

/// The name of a format of files.
pub fn data_format(text: &str) -> Result<DataFormat, String> {
    DataFormat::from_name(text)
        .ok_or_else(|| format!("there is no format '{text}': use one of {}", DataFormat::names()))
}

/// A value of a library type that is parsed from its name.
pub fn named<T: FromStr<Err = DataFusionError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| root_message(&error))
}
