//! The types of columns, found from their values.

use arrow::array::StringArray;
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{
    DataType, Date32Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

/// The kinds of values that a column has, as a set of bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u16);

impl Kinds {
    const BOOLEAN: u16 = 1;
    const INTEGER: u16 = 1 << 1;
    const FLOAT: u16 = 1 << 2;
    const DATE: u16 = 1 << 3;
    const SECONDS: u16 = 1 << 4;
    const MILLISECONDS: u16 = 1 << 5;
    const MICROSECONDS: u16 = 1 << 6;
    const NANOSECONDS: u16 = 1 << 7;
    const TEXT: u16 = 1 << 8;
    /// Digits with leading zeros, such as the code `01234`, which a number would lose.
    const PADDED: u16 = 1 << 9;

    /// Adds the kinds of the values of a column. NULL and empty values have none.
    pub fn add_values(&mut self, values: &StringArray) {
        for value in values.iter().flatten() {
            if self.0 & Self::TEXT != 0 {
                return;
            }
            if !value.is_empty() {
                self.0 |= kind(value);
            }
        }
    }

    /// The kind of one value; none if it is empty.
    pub fn of_value(value: &str) -> Self {
        Self(if value.is_empty() { 0 } else { kind(value) })
    }

    /// The kinds of both.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Adds the kinds of another part of the column.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The same, with leading zeros that say nothing: `01` is an integer.
    pub fn without_padding(self) -> Self {
        match self.0 & Self::PADDED {
            0 => self,
            _ => Self(self.0 & !Self::PADDED | Self::INTEGER),
        }
    }

    /// Whether the values are text that does not look like numbers, dates and so on, or there are none.
    pub fn is_plain_text(self) -> bool {
        let is_numeric = self.0 != 0 && self.0 & !(Self::INTEGER | Self::FLOAT | Self::PADDED) == 0;
        self.data_type() == DataType::Utf8 && !is_numeric
    }

    /// The type that has all values of these kinds; text if there are none.
    pub fn data_type(self) -> DataType {
        let time = |unit| DataType::Timestamp(unit, None);
        const TIMES: u16 =
            Kinds::DATE | Kinds::SECONDS | Kinds::MILLISECONDS | Kinds::MICROSECONDS | Kinds::NANOSECONDS;
        match self.0 {
            Self::BOOLEAN => DataType::Boolean,
            Self::INTEGER => DataType::Int64,
            kinds if kinds != 0 && kinds & !(Self::INTEGER | Self::FLOAT) == 0 => DataType::Float64,
            Self::DATE => DataType::Date32,
            kinds if kinds != 0 && kinds & !TIMES == 0 => match kinds {
                kinds if kinds >= Self::NANOSECONDS => time(TimeUnit::Nanosecond),
                kinds if kinds >= Self::MICROSECONDS => time(TimeUnit::Microsecond),
                kinds if kinds >= Self::MILLISECONDS => time(TimeUnit::Millisecond),
                _ => time(TimeUnit::Second),
            },
            _ => DataType::Utf8,
        }
    }
}

/// The kind of a value. A value of a kind can be read as the kind's type.
fn kind(value: &str) -> u16 {
    let bytes = value.as_bytes();
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    if digits.iter().all(u8::is_ascii_digit) && !digits.is_empty() {
        return match value.parse::<i64>() {
            Ok(_) if digits.len() > 1 && digits[0] == b'0' => Kinds::PADDED,
            Ok(_) => Kinds::INTEGER,
            // A number that is too large for BIGINT would lose digits as DOUBLE.
            Err(_) => Kinds::TEXT,
        };
    }
    if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
        return Kinds::BOOLEAN;
    }
    if is_decimal(digits) || ["nan", "NaN", "inf", "-inf", "Infinity", "-Infinity"].contains(&value) {
        return Kinds::FLOAT;
    }
    if bytes.len() >= 10 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-' {
        return time_kind(value).unwrap_or(Kinds::TEXT);
    }
    Kinds::TEXT
}

/// Whether bytes are a decimal number without a sign: digits with a point, an exponent or both.
fn is_decimal(bytes: &[u8]) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(bytes);
    let mut rest = &bytes[whole..];
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix(b".") {
        fraction = digits(after);
        rest = &after[fraction..];
    }
    if whole + fraction == 0 {
        return false;
    }
    let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) else {
        return rest.is_empty();
    };
    let exponent = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
    !exponent.is_empty() && digits(exponent) == exponent.len()
}

/// The kind of a date or a time.
fn time_kind(value: &str) -> Option<u16> {
    if value.len() == 10 {
        return Date32Type::parse(value).map(|_| Kinds::DATE);
    }
    let time = value.get(10..)?;
    let has_seconds = time.starts_with(['T', ' ']) && time.get(6..7) == Some(":") && time.len() >= 9;
    let rest = time.get(9..).filter(|_| has_seconds)?;
    let fraction =
        rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    match fraction {
        0 => TimestampSecondType::parse(value).map(|_| Kinds::SECONDS),
        1..=3 => TimestampMillisecondType::parse(value).map(|_| Kinds::MILLISECONDS),
        4..=6 => TimestampMicrosecondType::parse(value).map(|_| Kinds::MICROSECONDS),
        7..=9 => TimestampNanosecondType::parse(value).map(|_| Kinds::NANOSECONDS),
        _ => None,
    }
}
