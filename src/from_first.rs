//! Queries that begin with `FROM` and have a `WHERE`, but no `SELECT`: `FROM t WHERE x > 1`. The parser reads `FROM t` only.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

/// The tokens of a text, with `SELECT *` before each such query. The new tokens are at the place of its `FROM`.
///
/// # Errors
/// A text, a name or a comment has no end.
pub fn tokens(text: &str, dialect: &dyn Dialect) -> Result<Vec<TokenWithSpan>, TokenizerError> {
    let tokens = Tokenizer::new(dialect, text).tokenize_with_location()?;
    if !dialect.supports_from_first_select() {
        return Ok(tokens);
    }
    let mut changed = Vec::with_capacity(tokens.len());
    // The last two tokens that are no blanks, and whether nothing but EXPLAIN is before in the statement.
    let (mut before, mut is_start) = ([None, None], true);
    for (position, token) in tokens.iter().enumerate() {
        if keyword(token) == Keyword::FROM
            && (is_start || begins_query(before))
            && has_where(&tokens[position + 1..])
        {
            let at = |token| TokenWithSpan { token, span: tokens[position].span };
            changed.extend([at(Token::make_keyword("SELECT")), at(Token::Mul)]);
        }
        changed.push(token.clone());
        if !matches!(token.token, Token::Whitespace(_)) {
            is_start = match keyword(token) {
                Keyword::EXPLAIN | Keyword::ANALYZE | Keyword::VERBOSE => is_start,
                _ => token.token == Token::SemiColon,
            };
            before = [before[1], Some(token)];
        }
    }
    Ok(changed)
}

/// Whether a query can begin behind these two tokens, in the middle of a statement.
fn begins_query([first, second]: [Option<&TokenWithSpan>; 2]) -> bool {
    let (Some(first), Some(second)) = (first, second) else { return false };
    if second.token == Token::LParen {
        // trim(FROM text)
        return keyword(first) != Keyword::TRIM;
    }
    let is_name = matches!(first.token, Token::Period | Token::Comma)
        || matches!(keyword(first), Keyword::AS | Keyword::SELECT | Keyword::DISTINCT);
    match keyword(second) {
        Keyword::ALL => matches!(keyword(first), Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT),
        // Behind these tokens it is the name of a column.
        Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::AS => !is_name,
        _ => false,
    }
}

/// Whether the query whose `FROM` is before these tokens has a `WHERE`, and no `SELECT` before it.
fn has_where(tokens: &[TokenWithSpan]) -> bool {
    let mut depth = 0_usize;
    for token in tokens {
        match (&token.token, keyword(token)) {
            (Token::LParen, _) => depth += 1,
            (Token::RParen, _) => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            },
            (Token::SemiColon, _) => return false,
            (_, Keyword::WHERE) if depth == 0 => return true,
            (_, Keyword::SELECT | Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT) if depth == 0 => {
                return false;
            }
            _ => {}
        }
    }
    false
}

/// The keyword that a token is, if it is one.
fn keyword(token: &TokenWithSpan) -> Keyword {
    match &token.token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use datafusion::sql::sqlparser::dialect::{GenericDialect, PostgreSqlDialect};

    use super::*;

    fn rewritten(text: &str, dialect: &dyn Dialect) -> String {
        let words = tokens(text, dialect).unwrap().into_iter().filter(|token| token.token != Token::EOF);
        let words = words.map(|token| token.token.to_string()).filter(|word| !word.trim().is_empty());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_queries_with_where_and_without_select_get_one() {
        for (text, expected) in [
            ("FROM t WHERE a > 1", "SELECT * FROM t WHERE a > 1"),
            ("; from t where a", "; SELECT * from t where a"),
            (
                "EXPLAIN FROM t JOIN u ON ( a = b ) WHERE c",
                "EXPLAIN SELECT * FROM t JOIN u ON ( a = b ) WHERE c",
            ),
            ("SELECT 1 UNION ALL FROM t WHERE a", "SELECT 1 UNION ALL SELECT * FROM t WHERE a"),
            ("COPY ( FROM t WHERE a )", "COPY ( SELECT * FROM t WHERE a )"),
        ] {
            assert_eq!(rewritten(text, &GenericDialect {}), expected);
        }
        for text in [
            "FROM t",
            "FROM t LIMIT 2",
            "FROM t SELECT a WHERE b",
            "FROM t ; SELECT 1 WHERE a",
            "FROM ( SELECT a FROM u WHERE b )",
            "FROM t UNION SELECT a FROM u WHERE b",
            "SELECT a FROM t WHERE b",
            "DELETE FROM t WHERE a",
            "SELECT trim ( FROM a ) FROM t WHERE b",
            "SELECT \"FROM\" WHERE a",
            "SELECT verbose FROM t WHERE verbose = 1",
            "SELECT t . analyze FROM t WHERE a",
            "SELECT x AS union FROM t WHERE a",
            "SELECT a , except FROM t WHERE b",
        ] {
            assert_eq!(rewritten(text, &GenericDialect {}), text);
        }
        assert_eq!(rewritten("FROM t WHERE a", &PostgreSqlDialect {}), "FROM t WHERE a");
    }
}
