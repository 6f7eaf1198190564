//! Statements that change tables: those that would change other rows than they name are errors, and `EXPLAIN` changes nothing.

use std::path::Path;

use tempfile::tempdir;

use crate::common::{entries, expect_failure, ok, warpframe};

const TABLES: &str = "CREATE TABLE t(a INT, b TEXT) AS VALUES (1, 'x'), (2, 'y'), (3, NULL); CREATE TABLE u(a INT) AS VALUES (1)";

fn csv(folder: &Path, statements: &str) -> String {
    ok(folder, &["sql", statements, "--format", "csv"]).stdout
}

#[test]
fn changes_by_the_rows_of_other_tables_are_errors() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("s.csv"), "id\n1\n").unwrap();
    for (statement, words) in [
        (
            "DELETE FROM t WHERE a IN (SELECT a FROM u)",
            &["DELETE with a subquery", "CREATE TABLE AS SELECT"][..],
        ),
        ("DELETE FROM t WHERE a NOT IN (SELECT a FROM u)", &["DELETE with a subquery"]),
        ("DELETE FROM t WHERE EXISTS (SELECT a FROM u WHERE u.a = t.a)", &["DELETE with a subquery"]),
        ("DELETE FROM t WHERE a = (SELECT max(a) FROM u)", &["DELETE with a subquery"]),
        ("DELETE FROM t WHERE a IN (SELECT id FROM 's.csv')", &["DELETE with a subquery"]),
        ("DELETE FROM t WHERE a > 1 AND a IN (SELECT a FROM u) OR b = 'x'", &["DELETE with a subquery"]),
        ("UPDATE t SET b = 'Q' WHERE a IN (SELECT a FROM u)", &["UPDATE with a subquery"]),
        ("UPDATE t SET b = 'Q' WHERE EXISTS (SELECT a FROM u)", &["UPDATE with a subquery"]),
        ("UPDATE t SET a = (SELECT max(a) FROM u)", &["UPDATE with a subquery"]),
        ("PREPARE p AS DELETE FROM t WHERE a IN (SELECT a FROM u); EXECUTE p", &["DELETE with a subquery"]),
        ("UPDATE t JOIN u ON t.a = u.a SET b = 'z'", &["UPDATE with other tables cannot be used"]),
        ("UPDATE t SET b = 'z' FROM u WHERE t.a = u.a", &["UPDATE with other tables cannot be used"]),
        ("DELETE FROM t USING u WHERE t.a = u.a", &["DELETE with other tables cannot be used"]),
        ("DELETE FROM t JOIN u ON t.a = u.a", &["DELETE with other tables cannot be used"]),
        ("DELETE FROM t LIMIT 1", &["LIMIT in DELETE cannot be used", "WHERE"]),
        ("DELETE FROM t WHERE a = 1 LIMIT 0", &["LIMIT in DELETE"]),
        ("DELETE FROM t ORDER BY a LIMIT 1", &["DELETE cannot be used"]),
        ("DELETE FROM t RETURNING a", &["RETURNING in DELETE", "use SELECT"]),
        ("DELETE FROM t AS v WHERE v.a = 1", &["another name of the table in DELETE"]),
        ("UPDATE t SET a = 1 LIMIT 1", &["LIMIT in UPDATE"]),
        ("UPDATE t SET a = 1 RETURNING a", &["RETURNING in UPDATE"]),
        ("UPDATE t SET a = 1, a = 2", &["sets the column a twice"]),
        ("UPDATE t SET u.a = 1", &["sets u.a", "no column of its table"]),
        ("UPDATE t SET (a, b) = (1, 'q')", &["SET a = ..., b = ..."]),
    ] {
        let statements = format!("{TABLES}; {statement}");
        let run = expect_failure(at, &["sql", &statements, "--format", "csv"], 1, words);
        assert_eq!(run.stdout, "", "{statement}");
        // An explanation says so too.
        if !statement.starts_with("PREPARE") {
            let explained = format!("{TABLES}; EXPLAIN {statement}");
            expect_failure(at, &["sql", &explained], 1, words);
        }
    }
}

#[test]
fn files_and_generated_rows_are_not_changed() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("s.csv"), "id\n1\n").unwrap();
    let create = "CREATE EXTERNAL TABLE s STORED AS CSV LOCATION 's.csv'";
    for statement in ["DELETE FROM s", "UPDATE s SET id = 2", "TRUNCATE TABLE s", "DELETE FROM rows"] {
        let statements = format!("{create}; {statement}");
        expect_failure(at, &["sql", &statements], 1, &["cannot be changed", "only tables in memory"]);
    }
    assert_eq!(std::fs::read_to_string(at.join("s.csv")).unwrap(), "id\n1\n");
}

#[test]
fn explain_changes_nothing() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let state = "SELECT count(*) AS n, sum(a) AS s, count(b) AS b FROM t";
    let before = csv(at, &format!("{TABLES}; {state}"));
    for statement in [
        "DELETE FROM t",
        "DELETE FROM t WHERE a > 1",
        "UPDATE t SET a = 10, b = 'q'",
        "TRUNCATE TABLE t",
        "INSERT INTO t VALUES (9, 'n')",
        "INSERT INTO t SELECT a, 'n' FROM u",
        "COPY t TO 'out.parquet'",
        "COPY (SELECT a, b FROM t) TO 'folder/' STORED AS CSV PARTITIONED BY (b)",
        "CREATE TABLE v AS SELECT 1",
        "CREATE OR REPLACE TABLE t AS SELECT 1 AS a, 2 AS b",
        "CREATE VIEW v AS SELECT 1",
        "DROP TABLE t",
        "SET datafusion.execution.batch_size = 7",
    ] {
        for explain in ["EXPLAIN", "EXPLAIN VERBOSE", "EXPLAIN FORMAT INDENT", "EXPLAIN FORMAT TREE"] {
            let statements = format!("{TABLES}; {explain} {statement}; {state}");
            let run = csv(at, &statements);
            assert!(run.ends_with(&before), "{explain} {statement}:\n{run}");
        }
        assert!(entries(at).is_empty(), "{statement}: {:?}", entries(at));
    }
    let none =
        csv(at, "EXPLAIN SET datafusion.execution.batch_size = 7; SHOW datafusion.execution.batch_size");
    assert!(none.ends_with("batch_size,8192\n"), "{none}");
    let unknown = warpframe(at, &["sql", "EXPLAIN CREATE TABLE v AS SELECT 1; SELECT * FROM v"]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("'v' not found"), "{unknown:#?}");

    let plan = csv(at, &format!("{TABLES}; EXPLAIN FORMAT INDENT UPDATE t SET a = a + 1 WHERE b = 'x'"));
    let line = "ChangeTableExec: table=t, op=update, set=[a = ";
    assert!(plan.contains(line) && plan.contains("where=b = "), "{plan}");
    let tree = csv(at, &format!("{TABLES}; EXPLAIN DELETE FROM t WHERE a > 1"));
    assert!(tree.contains("ChangeTableExec") && tree.contains("op: delete"), "{tree}");

    // Other than EXPLAIN, EXPLAIN ANALYZE runs the statement.
    let deleted = csv(at, &format!("{TABLES}; EXPLAIN ANALYZE DELETE FROM t WHERE a > 1; SELECT a FROM t"));
    assert!(deleted.contains("ChangeTableExec") && deleted.ends_with("a\n1\n"), "{deleted}");
}

#[test]
fn clauses_of_statements_that_would_be_ignored_are_errors() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (statement, words) in [
        ("CREATE TABLE v(a INT GENERATED ALWAYS AS IDENTITY)", &["a generated column", "row_number()"][..]),
        ("CREATE TABLE v(a INT, b INT GENERATED ALWAYS AS (a + 1) STORED)", &["a generated column"]),
        ("CREATE TABLE v(a INT AUTOINCREMENT)", &["AUTOINCREMENT", "the column a", "leave it out"]),
        ("CREATE TABLE v(a INT AUTO_INCREMENT)", &["AUTO_INCREMENT", "the column a"]),
        ("CREATE TABLE v(a TEXT COLLATE \"C\")", &["COLLATE", "lower(...)"]),
        ("CREATE TABLE v(a INT COMMENT 'key')", &["COMMENT", "the column a"]),
        ("CREATE TABLE v(a INT CHECK (a > 0))", &["CHECK", "use WHERE"]),
        ("CREATE TABLE v(a INT, CHECK (a > 0))", &["CHECK", "use WHERE"]),
        ("CREATE TABLE v(a INT REFERENCES t(a))", &["REFERENCES"]),
        ("CREATE TABLE v(a INT, FOREIGN KEY (a) REFERENCES t(a))", &["FOREIGN KEY"]),
        ("CREATE TABLE v(a INT) WITH (x = 1)", &["an option of CREATE TABLE"]),
        ("CREATE TABLE v(a INT) PARTITION BY (a)", &["PARTITION BY in CREATE TABLE", "PARTITIONED BY"]),
        ("CREATE TEMPORARY TABLE v(a INT)", &["TEMPORARY", "end with the session"]),
        (
            "CREATE EXTERNAL TABLE v(a INT, b INT GENERATED ALWAYS AS IDENTITY) STORED AS CSV LOCATION 'x.csv'",
            &["a generated column"],
        ),
        ("CREATE OR ALTER VIEW v AS SELECT 1", &["OR ALTER", "OR REPLACE"]),
        ("CREATE TEMPORARY VIEW v AS SELECT 1", &["TEMPORARY"]),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", &["MATERIALIZED", "CREATE TABLE ... AS SELECT"]),
        ("CREATE SCHEMA s WITH (a = 1)", &["an option of CREATE SCHEMA"]),
        ("CREATE DATABASE d LOCATION 'x'", &["an option of CREATE DATABASE"]),
        ("DROP TABLE t CASCADE", &["CASCADE", "drop the views"]),
        ("DROP TABLE t, u", &["DROP of several names"]),
        ("DROP FUNCTION f, g", &["DROP FUNCTION of several names"]),
        ("CREATE FUNCTION f(a DOUBLE) RETURNS DOUBLE STRICT RETURN a", &["STRICT", "CASE"]),
        ("INSERT INTO u VALUES (1) ON CONFLICT DO NOTHING", &["ON CONFLICT"]),
        ("INSERT INTO u VALUES (1) RETURNING a", &["RETURNING in INSERT"]),
        ("INSERT OVERWRITE u VALUES (1)", &["INSERT OVERWRITE", "CREATE OR REPLACE TABLE"]),
        ("INSERT OR REPLACE INTO u VALUES (1)", &["a conflict clause"]),
        ("REPLACE INTO u VALUES (1)", &["a conflict clause"]),
        ("INSERT INTO u DEFAULT VALUES", &["INSERT without rows"]),
    ] {
        let statements = format!("{TABLES}; {statement}");
        let words = [words, &["cannot be used"]].concat();
        expect_failure(at, &["sql", &statements], 1, &words);
        let prepared = format!("{TABLES}; EXPLAIN {statement}");
        expect_failure(at, &["sql", &prepared], 1, &[words[0]]);
    }
    // These have no other meaning.
    let kept = csv(
        at,
        "CREATE SCHEMA IF NOT EXISTS s; CREATE DATABASE IF NOT EXISTS d; CREATE TABLE s.t(a INT NOT NULL DEFAULT 3, b INT NULL); \
                   INSERT INTO s.t (b) VALUES (1); UPDATE s.t SET t.b = 2; UPDATE s.t SET s.t.b = b + 1; FROM s.t; DROP SCHEMA s CASCADE",
    );
    assert!(kept.ends_with("a,b\n3,3\n"), "{kept}");
}

#[test]
fn keys_come_with_a_note() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for columns in ["a INT PRIMARY KEY", "a INT UNIQUE", "a INT, PRIMARY KEY (a)"] {
        let run = ok(at, &["sql", &format!("CREATE TABLE t({columns}) AS VALUES (1), (1)")]);
        assert!(
            run.stderr.contains("note: PRIMARY KEY and UNIQUE are not checked"),
            "{columns}: {}",
            run.stderr
        );
    }
    assert_eq!(ok(at, &["sql", TABLES]).stderr, "");
}
