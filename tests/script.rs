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
