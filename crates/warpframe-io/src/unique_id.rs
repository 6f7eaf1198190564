//! Random identifiers for the names of temporary files and objects.

use datafusion::common::{DataFusionError, Result};

/// 128 random bits in hexadecimal: 32 lower-case digits.
///
/// # Errors
/// The operating system provides no random bytes.
pub(super) fn unique_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| DataFusionError::Execution(format!("cannot get random bytes: {error}")))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}
