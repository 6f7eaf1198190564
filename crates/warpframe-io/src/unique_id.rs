//! Random identifiers for the names of runs, files and objects.

use std::io::{Error, Result};

/// The number of digits of an identifier.
const DIGITS: usize = 32;

/// 128 random bits in hexadecimal: 32 lower-case digits.
///
/// # Errors
/// The operating system provides no random bytes.
pub(super) fn unique_id() -> Result<String> {
    let mut bytes = [0; DIGITS / 2];
    getrandom::fill(&mut bytes).map_err(|error| Error::other(format!("cannot get random bytes: {error}")))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// Whether a text has the form of an identifier.
pub(super) fn is_unique_id(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
