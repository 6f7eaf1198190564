//! What `sql` takes: statements in several ways, tables, and clauses that are no part of DataFusion's SQL.

use std::io::Write;
use std::process::Stdio;

use tempfile::tempdir;

use crate::common::{command, expect_failure, finish, ok};

#[test]
fn a_statement_comes_from_an_argument_an_option_a_file_or_stdin() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("q.sql"), "SELECT 1 AS a").unwrap();
    for arguments in [
        &["sql", "SELECT 1 AS a", "--format", "csv"][..],
        &["sql", "--format", "csv", "-q", "SELECT 1 AS a"],
        &["sql", "--format", "csv", "-c", "SELECT 1 AS a"],
        &["sql", "--format", "csv", "--command", "SELECT 1 AS a"],
        &["sql", "--format", "csv", "-q", "-- a comment\nSELECT 1 AS a"],
        &["sql", "--format", "csv", "-f", "q.sql"],
    ] {
        assert_eq!(ok(at, arguments).stdout, "a\n1\n", "{arguments:?}");
    }
    for arguments in [&["sql", "--format", "csv", "-f", "-"][..], &["sql", "--format", "csv"]] {
        let mut child =
            command(at).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"SELECT 1 AS a").unwrap();
        let run = finish(child.wait_with_output().unwrap());
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), "a\n1\n"), "{arguments:?}");
    }
    expect_failure(at, &["sql", "SELECT 1", "-q", "SELECT 2"], 2, &["cannot be used with"]);
}

#[test]
fn a_table_without_a_name_gets_that_of_its_file() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "3", "--out", "My-Rows.parquet"]);
    let run = ok(
        at,
        &["sql", "--table", "My-Rows.parquet", "SELECT count(*) AS n FROM my_rows", "--format", "csv"],
    );
    assert_eq!(run.stdout, "n\n3\n");
}

#[test]
fn two_tables_of_one_name_are_an_error() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (partition, id) in [("p1", 1), ("k=1", 2)] {
        std::fs::create_dir(at.join(partition)).unwrap();
        std::fs::write(at.join(partition).join("data.csv"), format!("id\n{id}\n")).unwrap();
    }
    let both = ["sql", "--table", "p1/data.csv", "--table", "k=1/data.csv", "SELECT * FROM data"];
    expect_failure(at, &both, 2, &["table data twice", "'p1/data.csv'", "'k=1/data.csv'", "NAME=PATH"]);
    // A folder's name may have a '='.
    let one = ["sql", "--table", "k=1/data.csv", "SELECT id FROM data", "--format", "csv"];
    assert_eq!(ok(at, &one).stdout, "id\n2\n");
    let named = ["sql", "--table", "a=p1/data.csv", "--table", "b=k=1/data.csv", "--format", "csv"];
    let query = ["SELECT a.id, b.id AS other FROM a, b"];
    assert_eq!(ok(at, &[&named[..], &query].concat()).stdout, "id,other\n1,2\n");
}

#[test]
fn options_of_functions_that_read_files_are_checked() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("a.csv"), "1;2\n").unwrap();
    let read = |call: &str| ok(at, &["sql", &format!("FROM {call}"), "--format", "csv"]).stdout;
    assert_eq!(read("read_csv('a.csv', delim = ';', header = 0)"), "column_1,column_2\n1,2\n");
    assert_eq!(read("read_csv('a.csv', sep => ';', header => true)"), "\"1\",\"2\"\n");
    for (call, words) in [
        ("read_csv('a.csv', skip = 1)", &["read_csv has no option 'skip'", "delim (or sep), quote"][..]),
        ("read_csv('a.csv', skip = 'x')", &["read_csv has no option 'skip'"]),
        ("read_csv('a.csv', header = 2)", &["'header'", "true, false or 'detect', not 2"]),
        ("read_csv('a.csv', header = 'maybe')", &["'header'", "not 'maybe'"]),
        (
            "read_csv('a.csv', nullstr = ['NA', 'x'])",
            &["'nullstr'", "one text in single quotes, not ['NA', 'x']"],
        ),
        ("read_csv('a.csv', delim = 1)", &["'delim'", "a character in single quotes, not 1"]),
        ("read_csv(true)", &["the name of a file in single quotes, not true"]),
        ("read_parquet('a.csv', header = true)", &["read_parquet has no option 'header': it has no options"]),
        ("read_json('a.csv', lines = 1)", &["read_json has no option 'lines': it has no options"]),
    ] {
        expect_failure(at, &["sql", &format!("FROM {call}")], 1, words);
    }
}

#[test]
fn a_query_may_begin_with_from() {
    let folder = tempdir().unwrap();
    let csv = |query: &str| ok(folder.path(), &["sql", query, "--format", "csv"]).stdout;
    assert_eq!(csv("FROM rows LIMIT 2"), "id,x,y,z\n0,1.0,1.0,1.0\n1,2.0,2.0,2.0\n");
    assert_eq!(csv("FROM rows WHERE id = 3 OR id = 1 ORDER BY id LIMIT 1"), "id,x,y,z\n1,2.0,2.0,2.0\n");
    assert_eq!(csv("SELECT count(*) AS n FROM (FROM rows WHERE id < 7)"), "n\n7\n");
    assert_eq!(csv("FROM generate_rows(3) SELECT id WHERE id > 1"), "id\n2\n");
    assert_eq!(csv("SELECT sum(id) AS s FROM (FROM generate_rows(4))"), "s\n6\n");
    assert_eq!(
        csv("FROM generate_rows(1) UNION ALL FROM generate_rows(1)"),
        "id,x,y,z\n0,1.0,1.0,1.0\n0,1.0,1.0,1.0\n"
    );
}

#[test]
fn clauses_that_the_planner_does_not_read_are_errors() {
    let folder = tempdir().unwrap();
    for (query, clause) in [
        ("SELECT count(*) FROM rows TABLESAMPLE (1 PERCENT)", "TABLESAMPLE"),
        ("SELECT count(*) FROM rows SAMPLE 0.1", "TABLESAMPLE"),
        ("SELECT count(*) FROM (SELECT 1) TABLESAMPLE (1 PERCENT)", "TABLESAMPLE"),
        ("SELECT id FROM (SELECT id FROM rows TABLESAMPLE (1 PERCENT)) LIMIT 1", "TABLESAMPLE"),
        ("CREATE TABLE t AS SELECT id FROM rows TABLESAMPLE (1 PERCENT)", "TABLESAMPLE"),
        ("EXPLAIN SELECT id FROM rows TABLESAMPLE (1 PERCENT)", "TABLESAMPLE"),
        ("COPY (SELECT id FROM rows TABLESAMPLE (1 PERCENT)) TO 'x.csv'", "TABLESAMPLE"),
        ("SELECT id FROM generate_rows(3) FOR UPDATE", "FOR UPDATE"),
        ("SELECT id FROM generate_rows(5) PREWHERE id > 3", "PREWHERE"),
        ("SELECT id FROM generate_rows(5) SETTINGS max_threads = 1", "SETTINGS"),
        ("SELECT id FROM generate_rows(5) FORMAT JSON", "FORMAT"),
        ("SELECT id FROM generate_rows(5) FOR JSON AUTO", "FOR JSON"),
        ("SELECT id FROM rows PARTITION (p0)", "PARTITION"),
        ("SELECT id FROM generate_rows(3) WITH (NOLOCK)", "WITH"),
        ("SELECT * ILIKE '%i%' FROM generate_rows(2)", "ILIKE"),
        ("SELECT id, count(*) FROM generate_rows(5) GROUP BY id WITH ROLLUP", "WITH ROLLUP"),
        ("SELECT id FROM generate_rows(5) START WITH id = 1 CONNECT BY PRIOR id = id", "CONNECT BY"),
        ("SELECT TOP 2 id FROM rows", "TOP"),
        ("SELECT id FROM generate_rows(3) SORT BY id", "SORT BY"),
        ("SELECT id FROM generate_rows(3) CLUSTER BY id", "CLUSTER BY"),
        ("SELECT id FROM generate_rows(3) DISTRIBUTE BY id", "DISTRIBUTE BY"),
        ("SELECT id FROM generate_rows(3) LATERAL VIEW explode(id) e AS f", "LATERAL VIEW"),
        ("SELECT * FROM generate_rows(3) PIVOT (sum(x) FOR id IN (1, 2))", "PIVOT"),
        ("SELECT * FROM generate_rows(3) UNPIVOT (v FOR n IN (x, y))", "UNPIVOT"),
        (
            "SELECT * FROM generate_rows(3) a ASOF JOIN generate_rows(3) b MATCH_CONDITION (a.id >= b.id) ON a.id = b.id",
            "ASOF JOIN",
        ),
        ("SELECT 'a' COLLATE \"C\"", "COLLATE"),
        ("SELECT id FROM generate_rows(3) ORDER BY 'a' COLLATE \"C\"", "COLLATE"),
        ("SELECT id FROM generate_rows(3) LIMIT 1 BY id", "LIMIT ... BY"),
        ("SELECT id FROM generate_rows(3) FETCH FIRST 2 ROWS ONLY", "FETCH"),
        ("SELECT * FROM rows WITH ORDINALITY", "WITH ORDINALITY"),
    ] {
        expect_failure(folder.path(), &["sql", query], 1, &[clause, "cannot be used"]);
    }
}

#[test]
fn show_functions_lists_those_of_warpframe_and_of_users() {
    let folder = tempdir().unwrap();
    let text = "CREATE FUNCTION my_sum(a DOUBLE, b DOUBLE) RETURNS DOUBLE RETURN a + b; SHOW FUNCTIONS";
    let names = |like: &str| {
        let run = ok(folder.path(), &["sql", &format!("{text}{like}"), "--format", "ndjson"]);
        let rows = run.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        rows.map(|row| row["function_name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(" LIKE 'log3'"), ["log3"]);
    assert_eq!(names(" LIKE 'my%'"), ["my_sum"]);
    let all = names("");
    for name in ["log3", "my_sum", "sqrt", "generate_series"] {
        assert!(all.iter().any(|known| known == name), "{name} is not in {all:?}");
    }
}

#[test]
fn columns_are_found_in_any_case_if_there_is_one() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("t.csv"), "Amount,dup,DUP,lower\n1,2,3,4\n").unwrap();
    let sql = |query: &str| ["sql", "--table", "t.csv", query, "--format", "csv"].map(str::to_owned);
    let csv = |query: &str| ok(at, &sql(query).each_ref().map(String::as_str)).stdout;
    assert_eq!(
        csv("SELECT Amount, AMOUNT + 1 AS b, t.amount * 2 AS c FROM t WHERE amount = 1"),
        "Amount,b,c\n1,2,2\n"
    );
    assert_eq!(csv("SELECT sum(amount) AS s FROM t GROUP BY Lower ORDER BY LOWER"), "s\n1\n");
    assert_eq!(csv("SELECT a.AMOUNT FROM (SELECT amount FROM t) a"), "Amount\n1\n");
    // Both exist: the exact one is found, else the one in lower-case letters.
    assert_eq!(csv("SELECT dup, DUP, t.DUP + 1 AS b FROM t"), "dup,DUP,b\n2,3,4\n");
    // In other places than expressions.
    assert_eq!(csv("SELECT * EXCLUDE (amount, LOWER) FROM t"), "dup,DUP\n2,3\n");
    assert_eq!(csv("SELECT * EXCEPT (AMOUNT, DUP) FROM t"), "dup,lower\n2,4\n");
    assert_eq!(csv("SELECT a.dup FROM t a JOIN t b USING (AMOUNT)"), "dup\n2\n");
    let insert = "CREATE TABLE u AS SELECT * FROM t; INSERT INTO u(AMOUNT) VALUES (7); UPDATE u SET LOWER = 5 \
        WHERE amount = 7; SELECT amount, lower FROM u ORDER BY 1";
    assert!(csv(insert).ends_with("Amount,lower\n1,4\n7,5\n"), "{}", csv(insert));
    assert_eq!(
        csv("SELECT * REPLACE (AMOUNT + 1 AS AMOUNT, 5 AS dup) FROM t"),
        "Amount,dup,DUP,lower\n2,5,3,4\n"
    );
    // A replaced column can be used outside, and the name of one is found in any case.
    assert_eq!(csv("SELECT dup FROM (SELECT * REPLACE (dup * 2 AS dup) FROM t)"), "dup\n4\n");
    let missing = sql("SELECT * REPLACE (1 AS nosuch) FROM t");
    expect_failure(at, &missing.each_ref().map(String::as_str), 1, &["there is no column 'nosuch'"]);
    // The exact name is meant also where it is written to, and where another table has only the one in lower-case letters.
    let write =
        "CREATE TABLE w(\"Amount\" INT, amount INT); INSERT INTO w(Amount) VALUES (1); SELECT * FROM w";
    assert!(csv(write).ends_with("Amount,amount\n1,\n"), "{}", csv(write));
    let join = "CREATE TABLE a(\"V\" INT, v INT, k INT) AS VALUES (1, 10, 1); CREATE TABLE b(v INT, k INT) AS VALUES (10, 1); \
        SELECT a.V FROM a JOIN b ON a.k = b.k AND b.V = 10";
    assert!(csv(join).ends_with("V\n1\n"), "{}", csv(join));
    // A name that differs from another one in case only does not take its place in ORDER BY.
    let names = "SELECT a AS B, b FROM (VALUES (1, 9), (2, 8)) n(a, b) ORDER BY b";
    assert_eq!(csv(names), "B,b\n2,8\n1,9\n");
    // Names of results keep their letters.
    assert_eq!(csv("SELECT sum(amount) AS Total, 1 AS \"b\" FROM t ORDER BY TOTAL"), "Total,b\n1,1\n");
    assert_eq!(csv("SELECT amount AS Key, count(*) AS N FROM t GROUP BY Key"), "key,N\n1,1\n");
    assert_eq!(csv("SELECT total + 1 AS r FROM (SELECT sum(amount) AS Total FROM t)"), "r\n2\n");
    std::fs::write(at.join("t.csv"), "Dup,DUP\n2,3\n").unwrap();
    let ambiguous = sql("SELECT dup FROM t");
    let words = ["no column 'dup'", "\"DUP\" or \"Dup\"", "column 8"];
    expect_failure(at, &ambiguous.each_ref().map(String::as_str), 1, &words);
    // A name in quotes is meant as it is.
    expect_failure(at, &["sql", "--table", "t.csv", "SELECT \"dUP\" FROM t"], 1, &["no column 'dUP'"]);
}

#[test]
fn files_are_tables_of_a_query() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "3000", "--files", "3", "--out", "data"]);
    ok(at, &["sql", "SELECT id, x FROM generate_rows(5)", "--out", "My-Rows.csv"]);
    let csv = |query: &str| ok(at, &["sql", query, "--format", "csv"]).stdout;
    assert_eq!(csv("SELECT count(*) AS n FROM 'data'"), "n\n3000\n");
    assert_eq!(csv("SELECT count(*) AS n FROM 'data/*.parquet' WHERE x > 10"), "n\n2990\n");
    assert_eq!(csv("FROM \"My-Rows.csv\" LIMIT 1"), "id,x\n0,1.0\n");
    assert_eq!(
        csv("SELECT a.id, data.x FROM 'My-Rows.csv' a JOIN 'data' ON a.id = data.id ORDER BY 1 LIMIT 2"),
        "id,x\n0,1.0\n1,2.0\n"
    );
    assert_eq!(
        csv("SELECT my_rows.id FROM './My-Rows.csv' WHERE id = (SELECT max(id) FROM 'My-Rows.csv')"),
        "id\n4\n"
    );
    assert_eq!(csv("DESCRIBE 'My-Rows.csv'").lines().count(), 3);
    assert!(csv("EXPLAIN SELECT * FROM 'data'").contains("parquet"));
    assert_eq!(csv("WITH \"a.b\" AS (SELECT 1 AS one) SELECT one FROM \"a.b\""), "one\n1\n");
    // A view keeps the files, and nothing else is left.
    let script = "CREATE VIEW v AS SELECT * FROM 'My-Rows.csv'; CREATE TABLE t AS FROM 'My-Rows.csv'; \
                  SELECT (SELECT sum(id) FROM v) + (SELECT sum(id) FROM t) AS s";
    assert_eq!(csv(script), "s\n20\n");
    let tables = "SELECT * FROM 'My-Rows.csv'; SELECT table_name FROM information_schema.tables \
                  WHERE table_schema = 'public'";
    assert!(csv(tables).ends_with("table_name\nrows\n"), "{}", csv(tables));
    expect_failure(
        at,
        &["sql", "SELECT * FROM 'missing.parquet'"],
        1,
        &["no file or folder 'missing.parquet'"],
    );
    expect_failure(at, &["sql", "SELECT * FROM \"a.b\""], 1, &["no file or folder 'a.b'"]);
    expect_failure(at, &["sql", "SELECT * FROM \"Missing\""], 1, &["table", "Missing", "not found"]);
}

#[test]
fn files_and_tables_have_headings_as_written() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let query = "SELECT x+1, sum(y) FROM generate_rows(1) GROUP BY x+1";
    let table = ok(at, &["sql", query]).stdout;
    assert!(table.contains("| x + 1 | sum(y) |"), "{table}");
    for file in ["out.csv", "out.parquet", "out.arrow"] {
        ok(at, &["sql", query, "--out", file]);
        let read = ok(at, &["sql", &format!("SELECT \"sum(y)\" FROM '{file}'"), "--format", "csv"]).stdout;
        assert_eq!(read, "sum(y)\n1.0\n", "{file}");
    }
    assert_eq!(std::fs::read_to_string(at.join("out.csv")).unwrap(), "x + 1,sum(y)\n2.0,1.0\n");
    let copy = format!(
        "COPY ({query}) TO 'copied.csv' OPTIONS (format.has_header true); SELECT * FROM 'copied.csv'"
    );
    assert!(ok(at, &["sql", &copy, "--format", "csv"]).stdout.ends_with("x + 1,sum(y)\n2.0,1.0\n"));
    let duplicates = ok(at, &["sql", "SELECT id+1, id+1 FROM generate_rows(1)", "--format", "json"]).stdout;
    assert!(duplicates.contains("\"id + 1\":1,\"id + 1_1\":1"), "{duplicates}");
}
