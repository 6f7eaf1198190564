//! SQL is parsed in the session's dialect, and scripts in the dialect that each statement is run in.

mod common;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use common::{finish, ok};
use tempfile::tempdir;
use warpframe::Session;

/// Lists, lambdas and `ORDER BY ALL` are syntax of DuckDB's dialect, not of the generic one.
const LAMBDA: &str = "SELECT array_sum FROM (SELECT 1 AS array_sum, 2 AS b) ORDER BY ALL";

#[tokio::test]
async fn the_dialect_is_the_sessions() {
    let session = Session::new().unwrap();
    assert!(session.sql(LAMBDA).await.is_err(), "the generic dialect takes ALL for a column");
    session.sql("SET datafusion.sql_parser.dialect = 'duckdb'").await.unwrap();
    let rows = session.sql(LAMBDA).await.unwrap().collect().await.unwrap();
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), 1);
    // A function's body is text of the same dialect: `^` is a power in PostgreSQL, and generic XOR is not for numbers.
    let body = "CREATE OR REPLACE FUNCTION square(a DOUBLE) RETURNS DOUBLE AS 'a ^ 2'";
    assert!(session.run_script(body).await.is_err());
    session.run_script(&format!("SET datafusion.sql_parser.dialect = 'PostgreSQL'; {body}")).await.unwrap();
    let rows = session.sql("SELECT square(3) AS s, 2.0 ^ 3 AS p").await.unwrap().collect().await.unwrap();
    let number = |column: usize| rows[0].column(column).as_primitive::<Float64Type>().value(0);
    assert_eq!((number(0), number(1)), (9.0, 8.0));
}

#[tokio::test]
async fn a_script_can_change_its_dialect() {
    let session = Session::new().unwrap();
    let text =
        format!("SELECT 'é;\n';\nSET datafusion.sql_parser.dialect = 'duckdb';\n {LAMBDA} ; ; SELECT 2");
    let mut script = session.script(&text).unwrap();
    let mut statements = 0;
    while let Some(statement) = session.next_statement(&mut script).unwrap() {
        session.statement(statement).await.unwrap().collect().await.unwrap();
        statements += 1;
    }
    assert_eq!(statements, 4);
    assert!(script.is_empty());
}

#[test]
fn a_syntax_error_means_that_nothing_runs() {
    let folder = tempdir().unwrap();
    let run =
        finish(common::command(folder.path()).args(["sql", "-q", "SELECT 1; SELEC 2"]).output().unwrap());
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    // After a change of the dialect, what was before it has run, and positions are those in the text.
    let query = "SELECT 41 + 1 AS a;\nSET datafusion.sql_parser.dialect = 'duckdb';\n  SELEC 2";
    let run = finish(
        common::command(folder.path()).args(["sql", "--format", "csv", "-q", query]).output().unwrap(),
    );
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "a\n42\n"), "{run:?}");
    assert!(run.stderr.contains("line 3") && run.stderr.contains("SELEC"), "{run:?}");
    let last = format!("SET datafusion.sql_parser.dialect = 'duckdb'; {LAMBDA}");
    ok(folder.path(), &["sql", "-q", &last, "--format", "csv", "--out", "one.csv"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("one.csv")).unwrap(), "array_sum\n1\n");
}

/// The number that a query has as its only value.
async fn number(session: &Session, query: &str) -> f64 {
    let rows = session.sql(query).await.unwrap().collect().await.unwrap();
    let column = arrow::compute::cast(rows[0].column(0), &arrow::datatypes::DataType::Float64).unwrap();
    column.as_primitive::<Float64Type>().value(0)
}

/// `term(1)`, ..., `term(count)`, separated by an operator.
fn terms(count: usize, operator: &str, term: impl Fn(usize) -> String) -> String {
    (1..=count).map(term).collect::<Vec<_>>().join(operator)
}

#[tokio::test]
async fn expressions_of_thousands_of_terms_are_planned() {
    let session = Session::new().unwrap();
    let rows = "(VALUES (1, 0.5), (1499, 2.0)) t(c, x)";
    let any = terms(1500, " OR ", |term| format!("c = {term}"));
    assert_eq!(number(&session, &format!("SELECT count(*) FROM {rows} WHERE {any}")).await, 2.0);
    let any = terms(1500, " OR ", |term| format!("c * 2 > {term} + 1490"));
    assert_eq!(number(&session, &format!("SELECT count(*) FROM {rows} WHERE {any}")).await, 1.0);
    let all = terms(1500, " AND ", |term| format!("c * 2 > {term}"));
    assert_eq!(number(&session, &format!("SELECT count(*) FROM {rows} WHERE {all}")).await, 1.0);
    let none = terms(1500, " AND ", |term| format!("c <> {}", term + 1));
    assert_eq!(number(&session, &format!("SELECT count(*) FROM {rows} WHERE {none}")).await, 1.0);
    // The order of the sum stays: 1e16 + 1 + 1 + ... is 1e16.
    let sum = terms(1500, " + ", |_| "1.0e0 * c".to_owned());
    assert_eq!(
        number(&session, &format!("SELECT sum(x * 2e16 + {sum} - 1e16) FROM {rows} WHERE c = 1")).await,
        0.0
    );
    let sum = terms(1500, " + ", |term| format!("c * {term}"));
    assert_eq!(number(&session, &format!("SELECT {sum} FROM {rows} WHERE c = 1")).await, 1_125_750.0);
    let list = terms(20_000, ", ", |term| (term + 1).to_string());
    assert_eq!(number(&session, &format!("SELECT count(*) FROM {rows} WHERE c IN ({list})")).await, 1.0);
    let name = format!("c + {}", terms(70, " + ", |term| term.to_string()));
    let frame = session.sql(&format!("SELECT {name} FROM {rows}")).await.unwrap();
    assert_eq!(*frame.schema().field(0).name(), name);
}

#[test]
fn the_longest_chain_that_is_not_fused_is_evaluated() {
    let text = terms(401, " || ", |_| "CAST(id AS TEXT)".to_owned());
    let query = format!("SELECT max(length({text})) AS n FROM rows WHERE id < 10");
    let folder = tempdir().unwrap();
    assert_eq!(ok(folder.path(), &["sql", "--format", "csv", "-q", &query]).stdout, "n\n401\n");
}

#[tokio::test]
async fn longer_expressions_are_refused_in_one_sentence() {
    let session = Session::new().unwrap();
    let refused = async |query: String| session.sql(&query).await.unwrap_err().strip_backtrace();
    let text = terms(1500, " || ", |term| format!("'{term}'"));
    let message = refused(format!("SELECT {text}")).await;
    assert!(message.contains("a chain of 1499 operators, and at most 400 can be planned"), "{message}");
    let sum = terms(1500, " + ", |_| "CAST(1 AS DECIMAL(5, 2))".to_owned());
    let message = refused(format!("SELECT {sum}")).await;
    assert!(message.contains("a chain of more than 400 operators"), "{message}");
    let sum = terms(100_002, " + ", |_| "1".to_owned());
    let message = refused(format!("SELECT {sum}")).await;
    assert!(message.contains("a chain of 100001 operators, and at most 100000 can be planned"), "{message}");
    let nested = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    let message = refused(nested).await;
    assert!(message.contains("more than 50 levels of parentheses"), "{message}");
}
