//! What to do about files whose values are separated by another character than the one that was expected.

/// The characters that separate values in such files.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The delimiter that a file of one column seems to have, whose header or first value this is.
pub(super) fn other_delimiter(columns: usize, first: &str, delimiter: u8) -> Option<u8> {
    let is_other = |other: &u8| *other != delimiter && first.as_bytes().contains(other);
    DELIMITERS.into_iter().filter(|_| columns == 1).find(is_other)
}

/// The options that set a delimiter.
pub(super) fn delimiter_hint(delimiter: u8) -> String {
    let shown = if delimiter == b'\t' { "\\t".to_owned() } else { char::from(delimiter).to_string() };
    format!(
        "if '{shown}' is between the values, set the delimiter (--csv-delimiter '{shown}', delim => '{shown}' in \
         read_csv, or 'format.delimiter' '{shown}')"
    )
}
