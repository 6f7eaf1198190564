//! The memory limit of a session, and how it is written.

use std::fmt;
use std::str::FromStr;

use datafusion::common::{DataFusionError, Result, config_err};

use super::available::available_memory;

/// The default limit, in percent of the available memory. The rest is for what is not reserved: batches on their way
/// through operators, buffers of files, code.
const DEFAULT_PERCENT: f64 = 75.0;

/// The units of a size, in bytes, by their lower-case names.
const UNITS: [(&[&str], u64); 5] = [
    (&["", "b"], 1),
    (&["k", "kb", "kib"], 1 << 10),
    (&["m", "mb", "mib"], 1 << 20),
    (&["g", "gb", "gib"], 1 << 30),
    (&["t", "tb", "tib"], 1 << 40),
];

/// How much memory the operators, kernels and writers of a session or an executor may hold together.
///
/// As text, it is a size (`500000000`, `512MiB`, `1.5G`; units are powers of 1024), a percentage of the available memory
/// (`50%`) or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum MemoryLimit {
    /// 75 % of the [available memory](available_memory).
    #[default]
    Default,
    /// A number of bytes.
    Bytes(usize),
    /// A percentage of the [available memory](available_memory), above 0 and at most 100.
    Percent(f64),
    /// No limit.
    Unlimited,
}

impl MemoryLimit {
    /// What [`FromStr`] accepts, for messages: `memory_limit must be ...`.
    pub const FORMAT: &'static str =
        "a size such as 512MiB or 2GiB, a percentage of the memory such as 50%, or none";

    /// The limit in bytes; `None` without limit, or if it is a percentage and the memory of this machine is unknown.
    pub fn bytes(self) -> Option<usize> {
        let percent = match self {
            Self::Unlimited => return None,
            Self::Bytes(bytes) => return Some(bytes),
            Self::Percent(percent) => percent,
            Self::Default => DEFAULT_PERCENT,
        };
        available_memory().map(|bytes| (bytes as f64 * percent / 100.0) as usize)
    }
}

impl From<usize> for MemoryLimit {
    fn from(bytes: usize) -> Self {
        Self::Bytes(bytes)
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "{DEFAULT_PERCENT}%"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Unlimited => f.write_str("none"),
        }
    }
}

impl FromStr for MemoryLimit {
    type Err = DataFusionError;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        match parse(text) {
            Some(limit) => Ok(limit),
            None => config_err!("a memory limit is {}, not '{text}'", Self::FORMAT),
        }
    }
}

fn parse(text: &str) -> Option<MemoryLimit> {
    if text.eq_ignore_ascii_case("none") {
        return Some(MemoryLimit::Unlimited);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim().to_ascii_lowercase();
    if unit == "%" {
        return (number > 0.0 && number <= 100.0).then_some(MemoryLimit::Percent(number));
    }
    let (_, factor) = UNITS.iter().find(|(names, _)| names.contains(&unit.as_str()))?;
    let bytes = number * *factor as f64;
    // A limit of less than a byte is a mistake, as is one that no address space holds.
    (bytes >= 1.0 && bytes < usize::MAX as f64).then_some(MemoryLimit::Bytes(bytes as usize))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn sizes_percentages_and_none_are_limits() {
        for (text, limit) in [
            ("500000000", MemoryLimit::Bytes(500_000_000)),
            ("512MiB", MemoryLimit::Bytes(512 << 20)),
            ("1.5G", MemoryLimit::Bytes(3 << 29)),
            (" 2 gb ", MemoryLimit::Bytes(2 << 30)),
            ("1TiB", MemoryLimit::Bytes(1 << 40)),
            ("64k", MemoryLimit::Bytes(64 << 10)),
            ("50%", MemoryLimit::Percent(50.0)),
            ("12.5 %", MemoryLimit::Percent(12.5)),
            ("None", MemoryLimit::Unlimited),
        ] {
            assert_eq!(text.parse::<MemoryLimit>().unwrap(), limit, "{text}");
            assert_eq!(limit.to_string().parse::<MemoryLimit>().unwrap(), limit, "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_limits() {
        for text in [
            "",
            "lots",
            "0",
            "0%",
            "101%",
            "-1",
            "1.2.3",
            "5 MiB s",
            "%",
            "99999999999999999999T",
            "0.5",
            "nan%",
        ] {
            let error = text.parse::<MemoryLimit>().unwrap_err();
            assert!(error.message().contains(MemoryLimit::FORMAT), "{text}: {error}");
        }
    }

    #[test]
    fn percentages_are_of_the_available_memory() {
        let half = MemoryLimit::Percent(50.0).bytes().unwrap();
        assert_eq!(half, (available_memory().unwrap() / 2) as usize);
        assert!(MemoryLimit::Default.bytes().unwrap() > half);
        assert_eq!(MemoryLimit::Unlimited.bytes(), None);
    }
}
