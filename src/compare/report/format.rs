//! Formats numbers and texts.

/// A time in milliseconds with about three significant digits, in µs, ms or s.
pub fn format_ms(ms: f64) -> String {
    match ms {
        ms if ms >= 9995.0 => format!("{:.1} s", ms / 1e3),
        ms if ms >= 999.5 => format!("{:.2} s", ms / 1e3),
        ms if ms >= 99.95 => format!("{ms:.0} ms"),
        ms if ms >= 9.995 => format!("{ms:.1} ms"),
        ms if ms >= 0.9995 => format!("{ms:.2} ms"),
        ms => format!("{:.0} µs", ms * 1e3),
    }
}

/// A ratio with about two significant digits.
pub fn format_ratio(ratio: f64) -> String {
    if ratio >= 9.95 { format!("{ratio:.0}×") } else { format!("{ratio:.1}×") }
}

/// The width of text in characters.
pub const WIDTH: usize = 100;

/// The lines of a text, broken at spaces so that they are not longer than 100 characters if possible. Those after the first are
/// indented by `indent` characters.
pub fn wrap(text: &str, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.to_owned();
    while rest.chars().count() > WIDTH {
        let spaces = rest.char_indices().enumerate().filter(|(_, (_, character))| *character == ' ');
        let begin = rest.len() - rest.trim_start().len();
        let fitting =
            spaces.filter(|(column, (position, _))| *column <= WIDTH && *position > begin.max(indent));
        let Some((_, (position, _))) = fitting.last() else { break };
        let next = format!("{}{}", " ".repeat(indent), rest[position..].trim_start());
        rest.truncate(position);
        lines.push(rest.trim_end().to_owned());
        rest = next;
    }
    lines.push(rest);
    lines
}

/// Texts as the items of a list.
pub fn items(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let lines = texts.into_iter().flat_map(|text| wrap(&format!("- {}", text.as_ref()), 2));
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_broken_at_spaces() {
        assert_eq!(wrap("short", 2), ["short"]);
        let long = wrap(&"word ".repeat(40), 4);
        assert_eq!(long.len(), 3, "{long:#?}");
        for (number, line) in long.iter().enumerate() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line.starts_with("    word"), number > 0, "{line}");
        }
        assert_eq!(long.iter().map(|line| line.matches("word").count()).sum::<usize>(), 40);
        assert_eq!(wrap(&"x".repeat(300), 4), ["x".repeat(300)]);
        assert_eq!(items(["one", "two"]), "- one\n- two\n");
    }
}
