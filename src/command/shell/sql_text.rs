//! SQL that is being typed: where statements end, and which parts have a colour.

use datafusion::common::config::Dialect;
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// Whether a text can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// There is nothing but blanks, comments and semicolons.
    Empty,
    /// The last statement has no semicolon yet, or a text or comment has no end.
    Incomplete,
    /// The last statement ends with a semicolon, which only blanks and comments follow.
    Complete,
}

impl Input {
    /// Looks at a text in a dialect of SQL.
    pub fn of(text: &str, dialect: Dialect) -> Self {
        // The only errors of the tokenizer are texts, names and comments without an end.
        let Some(tokens) = tokens(text, dialect) else { return Self::Incomplete };
        let mut tokens = tokens.iter().map(|token| &token.token).filter(|token| !is_blank(token)).peekable();
        if tokens.clone().all(|token| *token == Token::SemiColon) {
            return match tokens.peek() {
                Some(_) => Self::Complete,
                None => Self::Empty,
            };
        }
        match tokens.last() {
            Some(Token::SemiColon) => Self::Complete,
            _ => Self::Incomplete,
        }
    }
}

fn tokens(text: &str, dialect: Dialect) -> Option<Vec<TokenWithSpan>> {
    let dialect = dialect_from_str(dialect)?;
    Tokenizer::new(dialect.as_ref(), text).tokenize_with_location().ok()
}

fn is_blank(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_) | Token::EOF)
}

/// A part of SQL that has a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Keyword,
    Text,
    Number,
    Comment,
}

/// The parts of a text that have a colour, each with the positions of its first byte and of the byte behind it.
pub fn parts(text: &str, dialect: Dialect) -> Vec<(std::ops::Range<usize>, Part)> {
    let Some(tokens) = tokens(text, dialect) else { return Vec::new() };
    let starts = LineStarts::new(text);
    let colored = tokens.iter().filter_map(|token| {
        let part = part_of(&token.token)?;
        let (start, end) = (token.span.start, token.span.end);
        let range = starts.byte(text, start.line, start.column)..starts.byte(text, end.line, end.column);
        Some((range, part))
    });
    colored.collect()
}

fn part_of(token: &Token) -> Option<Part> {
    use datafusion::sql::sqlparser::tokenizer::Whitespace;
    Some(match token {
        Token::Word(word) if word.quote_style.is_none() && word.keyword != Keyword::NoKeyword => {
            Part::Keyword
        }
        Token::Number(..) => Part::Number,
        Token::SingleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::UnicodeStringLiteral(_) => Part::Text,
        Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
            Part::Comment
        }
        _ => return None,
    })
}

/// The positions of the first bytes of lines.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn new(text: &str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(position, _)| position + 1);
        Self(std::iter::once(0).chain(after_breaks).collect())
    }

    /// The position of a character, whose line and column are counted from 1.
    fn byte(&self, text: &str, line: u64, column: u64) -> usize {
        let start = self.0.get((line as usize).saturating_sub(1)).copied().unwrap_or(text.len());
        let characters = text[start..].char_indices();
        let found = characters.map(|(position, _)| position).nth((column as usize).saturating_sub(1));
        found.map_or(text.len(), |position| start + position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_the_tokenizer_says() {
        let of = |text: &str| Input::of(text, Dialect::Generic);
        for complete in [
            "select 1;",
            "select 1; -- one",
            "select 1; /* one\n two */ ",
            "select ';' ;",
            "select 1\n;\n",
            "select 1; select 2;",
            "create function f(x double) returns double return x + 1;",
            ";",
        ] {
            assert_eq!(of(complete), Input::Complete, "{complete}");
        }
        for incomplete in [
            "select 1",
            "select 1 -- ;",
            "select ';",
            "select 1; /* ;",
            "select 1; select 2",
            "select $$ ; ",
            "select \"a;",
        ] {
            assert_eq!(of(incomplete), Input::Incomplete, "{incomplete}");
        }
        for empty in ["", "  \n", "-- a comment", "/* one */ -- two"] {
            assert_eq!(of(empty), Input::Empty, "{empty}");
        }
    }

    #[test]
    fn parts_are_found_behind_other_characters() {
        let text = "select 'é🦀', \"from\",\n  12.5 as größe -- done";
        let found: Vec<_> =
            parts(text, Dialect::Generic).into_iter().map(|(range, part)| (&text[range], part)).collect();
        assert_eq!(
            found,
            [
                ("select", Part::Keyword),
                ("'é🦀'", Part::Text),
                ("12.5", Part::Number),
                ("as", Part::Keyword),
                ("-- done", Part::Comment)
            ]
        );
    }
}
