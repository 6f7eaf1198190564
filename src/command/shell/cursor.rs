//! What the end of SQL that is being typed is in.

/// What the end of a text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Keywords, names and operators.
    Sql,
    /// A text in single quotes or between dollar signs.
    Text,
    /// A name in double quotes, the first of which is at this byte.
    QuotedName(usize),
    Comment,
}

impl Cursor {
    /// What the end of the text is in.
    pub fn of(text: &str) -> Self {
        let mut position = 0;
        while let Some(next) = text[position..].chars().next() {
            let rest = &text[position..];
            let (cursor, length) = match next {
                '\'' => (Self::Text, quoted_length(rest, "'")),
                '"' => (Self::QuotedName(position), quoted_length(rest, "\"")),
                '-' if rest.starts_with("--") => (Self::Comment, rest.find('\n')),
                '/' if rest.starts_with("/*") => (Self::Comment, comment_length(rest)),
                '$' => match dollar_quote(rest) {
                    Some(quote) => (Self::Text, quoted_length(rest, quote)),
                    None => (Self::Sql, Some(1)),
                },
                // A dollar sign in a name or behind a number quotes nothing.
                _ if is_word(next) => (Self::Sql, Some(word_length(rest))),
                _ => (Self::Sql, Some(next.len_utf8())),
            };
            match length {
                Some(length) => position += length,
                None => return cursor,
            }
        }
        Self::Sql
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn word_length(text: &str) -> usize {
    text.find(|character| !is_word(character) && character != '$').unwrap_or(text.len())
}

/// The length of what a text begins with, from one quote to the next; `None` if it has no end. Two quotes within a quoted text
/// are one that ends and one that begins, which comes to the same here.
fn quoted_length(text: &str, quote: &str) -> Option<usize> {
    text[quote.len()..].find(quote).map(|end| end + 2 * quote.len())
}

/// The length of the comment that a text begins with, in which there may be others.
fn comment_length(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut position = 0;
    loop {
        let rest = &text[position..];
        match (rest.find("/*"), rest.find("*/")?) {
            (Some(begin), end) if begin < end => {
                depth += 1;
                position += begin + 2;
            }
            (_, end) => {
                depth -= 1;
                position += end + 2;
            }
        }
        if depth == 0 {
            return Some(position);
        }
    }
}

/// The quote `$$` or `$tag$` that a text begins with.
fn dollar_quote(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 2;
    text[1..end - 1].chars().all(is_word).then_some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_text_is_in_what_has_no_end() {
        for (text, cursor) in [
            ("", Cursor::Sql),
            ("select * from 'data/", Cursor::Text),
            ("select 'a\nb", Cursor::Text),
            ("select 'it''s', ", Cursor::Sql),
            ("select 'it''s", Cursor::Text),
            ("select a -- it's\n, b", Cursor::Sql),
            ("select a -- it's", Cursor::Comment),
            ("select /* it's /* two */ */ b", Cursor::Sql),
            ("select /* it's /* two */ b", Cursor::Comment),
            ("select '--', \"größe", Cursor::QuotedName(13)),
            ("select \"it's\", b", Cursor::Sql),
            ("select $$ it's", Cursor::Text),
            ("select $a$ it's $b$ $a$, b", Cursor::Sql),
            ("select $1, b$c, 'a", Cursor::Text),
            ("select a - b / c", Cursor::Sql),
        ] {
            assert_eq!(Cursor::of(text), cursor, "{text}");
        }
    }
}
