//! Finds line breaks inside of quotes. A file with such values cannot be split at line breaks.

use std::io::{Read, Result};

use super::dialect::CsvDialect;

/// The size of the pieces that are read, in bytes.
const PIECE: usize = 1024 * 1024;

/// Where the scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside of quotes. A quote opens a quoted value only at the beginning of a value.
    Plain {
        at_value_start: bool,
    },
    Quoted,
    /// Behind a quote that closes the quotes or is the first of a doubled quote.
    BehindQuote,
}

/// Whether a file has a quoted value with a byte that ends a record, or might have one: with an escape byte, any quote
/// counts. Most of a file without quotes is skipped at the speed of memory.
///
/// # Errors
/// The file cannot be read.
pub(super) fn has_quoted_newlines(mut file: impl Read, dialect: &CsvDialect) -> Result<bool> {
    let mut buffer = vec![0; PIECE];
    let mut place = Place::Plain { at_value_start: true };
    let starts_value = |before: u8| before == dialect.delimiter || dialect.ends_record(before);
    let mut is_first = true;
    loop {
        let length = match file.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = &buffer[..length];
        // A byte order mark.
        let mut position = if is_first && piece.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        is_first = false;
        while position < length {
            match place {
                Place::Plain { at_value_start } => {
                    let Some(distance) = memchr::memchr(dialect.quote, &piece[position..]) else {
                        place = Place::Plain { at_value_start: starts_value(piece[length - 1]) };
                        break;
                    };
                    let quote = position + distance;
                    let opens = match quote {
                        _ if distance == 0 => at_value_start,
                        _ => starts_value(piece[quote - 1]),
                    };
                    if opens && dialect.escape.is_some() {
                        return Ok(true);
                    }
                    place = if opens { Place::Quoted } else { Place::Plain { at_value_start: false } };
                    position = quote + 1;
                }
                Place::Quoted => {
                    let rest = &piece[position..];
                    let found = match dialect.terminator {
                        Some(terminator) => memchr::memchr2(dialect.quote, terminator, rest),
                        None => memchr::memchr3(dialect.quote, b'\n', b'\r', rest),
                    };
                    let Some(distance) = found else { break };
                    if rest[distance] != dialect.quote {
                        return Ok(true);
                    }
                    place = Place::BehindQuote;
                    position += distance + 1;
                }
                Place::BehindQuote if piece[position] == dialect.quote => {
                    place = Place::Quoted;
                    position += 1;
                }
                Place::BehindQuote => {
                    // The byte itself may be a delimiter or a line end, but never a quote.
                    place = Place::Plain { at_value_start: starts_value(piece[position]) };
                    position += 1;
                }
            }
        }
    }
}
