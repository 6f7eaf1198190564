//! Text from data, for terminals.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with control characters escaped, so that data cannot move the cursor of a terminal, change its settings or
/// reorder what it shows: `\t`, `\r`, and `\u{1b}` with the code point for the other control characters of C0 and C1, DEL,
/// line separators, and characters that embed, isolate or override a direction of writing. Line feeds stay.
pub fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            c if is_escaped(c) => {
                // Writing to a text does not fail.
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

fn is_escaped(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_escaped_and_other_text_is_not() {
        for (text, shown) in [
            ("plain, ünï, 漢字, שלום, \\u{1b}", "plain, ünï, 漢字, שלום, \\u{1b}"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\tb\rc\nd", "a\\tb\\rc\nd"),
            ("\u{9b}31m\u{7f}\0", "\\u{9b}31m\\u{7f}\\u{0}"),
            ("\u{202e}txt.exe\u{2069}\u{2028}", "\\u{202e}txt.exe\\u{2069}\\u{2028}"),
        ] {
            assert_eq!(escape_controls(text), shown);
        }
        assert!(matches!(escape_controls("plain"), Cow::Borrowed("plain")));
    }
}
