//! The type of a column of numbers that keeps the digits of its integers.

use arrow::datatypes::DataType;

/// The integers up to which each is a DOUBLE, in both directions.
const EXACT_IN_DOUBLE: u128 = 1 << 53;

/// What the numbers of a column are, as a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers(u8);

impl Numbers {
    /// An integer that is a BIGINT.
    pub const INTEGER: Self = Self(1);
    /// A number with a fraction or an exponent, or one that is not finite.
    pub const FLOAT: Self = Self(1 << 1);
    /// A negative integer.
    const NEGATIVE: Self = Self(1 << 2);
    /// An integer that is a BIGINT UNSIGNED only.
    const UNSIGNED: Self = Self(1 << 3);
    /// An integer with digits that a DOUBLE does not keep.
    const LONG: Self = Self(1 << 4);
    /// A number outside of both types of integers. The parser does not tell whether it was written as an integer.
    const HUGE: Self = Self(1 << 5);
    /// The same, which was written as an integer.
    const HUGE_INTEGER: Self = Self(1 << 6);

    /// The kind of an integer that is a BIGINT.
    pub fn signed(value: i64) -> Self {
        let sign = if value < 0 { Self::NEGATIVE } else { Self::INTEGER };
        Self::INTEGER.with(sign).with(Self::of_digits(value.into()))
    }

    /// The kind of an integer that is not negative.
    pub fn unsigned(value: u64) -> Self {
        match i64::try_from(value) {
            Ok(value) => Self::signed(value),
            Err(_) => Self::UNSIGNED.with(Self::of_digits(value.into())),
        }
    }

    /// The kind of a number that the parser has not taken for an integer.
    pub fn float(value: f64) -> Self {
        let is_huge = value >= u64::MAX as f64 || value <= i64::MIN as f64;
        if is_huge { Self::HUGE } else { Self::FLOAT }
    }

    /// Whether a DOUBLE is the integer, or is written with the same digits.
    fn of_digits(value: i128) -> Self {
        let is_kept = value.unsigned_abs() <= EXACT_IN_DOUBLE
            || value as f64 as i128 == value
            || (value as f64).to_string() == value.to_string();
        if is_kept { Self::INTEGER } else { Self::LONG }
    }

    /// What the numbers of both are.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, bits: Self) -> bool {
        self.0 & bits.0 != 0
    }

    /// Whether the parser has left open whether a number was written as an integer.
    pub fn is_open(self) -> bool {
        self.has(Self::HUGE)
    }

    /// The same with the answer.
    pub fn resolved(self, is_integer: bool) -> Self {
        match self.is_open() {
            true => {
                Self(self.0 & !Self::HUGE.0).with(if is_integer { Self::HUGE_INTEGER } else { Self::FLOAT })
            }
            false => self,
        }
    }

    /// The type that keeps the digits of all of them; text if no type of numbers does.
    pub fn data_type(self) -> DataType {
        if self.has(Self::HUGE_INTEGER) {
            return DataType::Utf8;
        }
        if self.has(Self::FLOAT.with(Self::HUGE)) {
            return if self.has(Self::LONG) { DataType::Utf8 } else { DataType::Float64 };
        }
        match (self.has(Self::UNSIGNED), self.has(Self::NEGATIVE)) {
            (false, _) => DataType::Int64,
            (true, false) => DataType::UInt64,
            (true, true) => DataType::Utf8,
        }
    }
}

/// Whether JSON text has a number outside of strings that is written as an integer, and that no type of integers has.
pub(super) fn has_long_integer(text: &[u8]) -> bool {
    let mut position = 0;
    while let Some(&byte) = text.get(position) {
        let rest = &text[position..];
        let length = match byte {
            b'"' => 1 + string_length(&rest[1..]),
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                let number = &rest[..rest.iter().take_while(is_part).count()];
                if is_too_long(number) {
                    return true;
                }
                number.len()
            }
            _ => 1,
        };
        position += length;
    }
    false
}

/// Whether a number is written as an integer, and is neither a BIGINT nor a BIGINT UNSIGNED.
fn is_too_long(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let Ok(text) = str::from_utf8(number) else { return false };
    !digits.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
        && text.parse::<i64>().is_err()
        && text.parse::<u64>().is_err()
}

/// The length of the rest of a string, with the quote at its end.
fn string_length(text: &[u8]) -> usize {
    let mut position = 0;
    loop {
        match text.get(position) {
            None => return position,
            Some(b'"') => return position + 1,
            Some(b'\\') => position += 2,
            Some(_) => position += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_integers_are_found_outside_of_strings() {
        for (text, expected) in [
            (r#"{"a":36893488147419103232}"#, true),
            (r#"{"a":[-36893488147419103232]}"#, true),
            (r#"{"a":1e30,"b":123456789012345678.5}"#, false),
            // Others that are integers do not matter.
            (r#"{"t":1700000000000000000,"u":18446744073709551615,"x":1e20}"#, false),
            (r#"{"a":"\"36893488147419103232"}"#, false),
            (r#"{"36893488147419103232":1"#, false),
            (r#"{"a":"36893488147419103232"#, false),
        ] {
            assert_eq!(has_long_integer(text.as_bytes()), expected, "{text}");
        }
    }
}
