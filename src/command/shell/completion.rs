//! What Tab completes in SQL: keywords, functions, tables and their columns.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;
use rustyline::completion::Pair;

use crate::read_functions;
use crate::session::Session;

/// The completions of the word at the end of `line`, and the position of its first byte. After `TABLE.` these are the
/// columns of the table. `quote` is the position of the double quote that begins the name at the end of the line.
pub async fn complete_word(session: &Session, line: &str, quote: Option<usize>) -> (usize, Vec<Pair>) {
    let is_word = |character: char| character.is_alphanumeric() || character == '_' || character == '.';
    let end = quote.unwrap_or(line.len());
    let start = line[..end].char_indices().rev().take_while(|(_, character)| is_word(*character)).last();
    let start = start.map_or(end, |(position, _)| position);
    if let Some((table, _)) = line[start..end].rsplit_once('.') {
        let start = start + table.len() + 1;
        return (start, matching(&line[start..], columns(session, table).await));
    }
    let word = &line[quote.unwrap_or(start)..];
    if word.is_empty() {
        return (start, Vec::new());
    }
    let mut names = BTreeSet::new();
    if quote.is_none() {
        let is_upper = !word.chars().any(char::is_lowercase);
        names.extend(ALL_KEYWORDS.iter().map(|keyword| match is_upper {
            true => (*keyword).to_owned(),
            false => keyword.to_lowercase(),
        }));
        names.extend(functions(session).into_iter().map(|name| format!("{name}(")));
    }
    for table in tables(session) {
        names.extend(columns(session, &table).await);
        names.insert(table);
    }
    (quote.unwrap_or(start), matching(word, names))
}

/// Of these names, those that begin with `word`, in any case. A word in double quotes stays in them.
fn matching(word: &str, names: impl IntoIterator<Item = String>) -> Vec<Pair> {
    let typed = word.strip_prefix('"');
    let beginning = typed.unwrap_or(word).to_lowercase();
    let begins =
        |name: &String| name.strip_prefix('"').unwrap_or(name).to_lowercase().starts_with(&beginning);
    let written = |name: String| match typed {
        Some(_) if !name.starts_with('"') => format!("\"{name}\""),
        _ => name,
    };
    let found = names.into_iter().filter(begins).map(written);
    found.map(|name| Pair { display: name.clone(), replacement: name }).collect()
}

/// The names of the tables, except those of the information schema, as they have to be written.
fn tables(session: &Session) -> Vec<String> {
    let options = session.context().state_ref().read().config_options().clone();
    let catalog = session.context().catalog(&options.catalog.default_catalog);
    let schema = catalog.and_then(|catalog| catalog.schema(&options.catalog.default_schema));
    schema
        .map(|schema| schema.table_names())
        .unwrap_or_default()
        .into_iter()
        .map(|name| quoted(&name))
        .collect()
}

/// The names of the columns of a table, as they have to be written. None if there is no such table.
async fn columns(session: &Session, table: &str) -> Vec<String> {
    match session.context().table(table).await {
        Ok(table) => table.schema().fields().iter().map(|field| quoted(field.name())).collect(),
        Err(_) => Vec::new(),
    }
}

fn functions(session: &Session) -> Vec<String> {
    let state = session.context().state();
    let scalar = state.scalar_functions().keys();
    let others = state.aggregate_functions().keys().chain(state.window_functions().keys());
    let tables = state.table_functions().keys();
    let readers = read_functions::names().map(str::to_owned);
    scalar.chain(others).chain(tables).cloned().chain(readers).collect()
}

/// A name as SQL has to write it: in double quotes unless it has only lower-case letters, digits and `_`.
fn quoted(name: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    let begins = name.starts_with(|character: char| character.is_ascii_lowercase() || character == '_');
    match begins && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::super::cursor::Cursor;
    use super::*;

    async fn completions(session: &Session, line: &str) -> Vec<String> {
        let quote = match Cursor::of(line) {
            Cursor::QuotedName(quote) => Some(quote),
            _ => None,
        };
        let (start, found) = complete_word(session, line, quote).await;
        found.into_iter().map(|pair| format!("{}{}", &line[..start], pair.replacement)).collect()
    }

    #[tokio::test]
    async fn words_are_completed_from_the_session() {
        let session = Session::new().unwrap();
        session.run_script("CREATE TABLE zebras AS SELECT 1 AS \"Total\", 2 AS tally").await.unwrap();
        assert_eq!(completions(&session, "SELEC").await, ["SELECT"]);
        assert_eq!(completions(&session, "selec").await, ["select"]);
        assert_eq!(completions(&session, "select log3").await, ["select log3("]);
        assert_eq!(completions(&session, "select * from zeb").await, ["select * from zebras"]);
        assert_eq!(completions(&session, "select tall").await, ["select tally"]);
        assert_eq!(
            completions(&session, "select zebras.t").await,
            ["select zebras.\"Total\"", "select zebras.tally"]
        );
        assert_eq!(completions(&session, "select \"TOT").await, ["select \"Total\""]);
        assert_eq!(completions(&session, "select \"ta").await, ["select \"tally\""]);
        assert_eq!(completions(&session, "select zebras.\"To").await, ["select zebras.\"Total\""]);
        assert_eq!(completions(&session, "from generate_r").await, ["from generate_rows("]);
        assert_eq!(completions(&session, "from read_par").await, ["from read_parquet("]);
        assert_eq!(completions(&session, "select nothing.t").await, [""; 0]);
        assert_eq!(completions(&session, "select ").await, [""; 0]);
    }
}
