//! Numbers with their nouns, in messages.

use indicatif::HumanCount;

/// A number with a noun, which gets an `s` unless the number is 1: `1 row`, `10,000,000 rows`.
pub fn count(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", HumanCount(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!(count(0, "row"), "0 rows");
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(10_000_000, "row"), "10,000,000 rows");
    }
}
