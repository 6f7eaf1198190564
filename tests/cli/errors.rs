//! Errors at run time: one sentence without the names of layers, which names the expression.

use tempfile::tempdir;

use crate::common::{expect_failure, ok, warpframe};

#[test]
fn errors_of_rows_name_the_expression() {
    let folder = tempdir().unwrap();
    for (query, expected) in [
        ("SELECT sqrt(-1)", "cannot take square root of a negative number, in sqrt(-1)"),
        (
            "SELECT id, sqrt(x - 5) + ln(y) * 2 AS r FROM generate_rows(100)",
            "cannot take square root of a negative number, in sqrt(x - 5)",
        ),
        (
            "SELECT sum(sqrt(x - 5)), sum(sqrt(4)) FROM generate_rows(100)",
            "cannot take square root of a negative number, in sqrt(x - 5)",
        ),
        (
            "SELECT id FROM generate_rows(100) WHERE sqrt(x - 5) > 2 OR sqrt(-y) > 1",
            "cannot take square root of a negative number, in sqrt(x - 5) or sqrt(-y)",
        ),
        ("SELECT 1 / 0", "division by zero, in 1 / 0"),
        // Neither a constant other than zero nor a floating-point number can be the cause.
        ("SELECT id / 2, x / 0, 10 % (id - 1) FROM generate_rows(3)", "division by zero, in 10 % (id - 1)"),
        (
            "SELECT a FROM (SELECT 7 / id AS a FROM generate_rows(3)) WHERE a IN (SELECT id / 2 FROM generate_rows(2))",
            "division by zero, in 7 / id",
        ),
        (
            "SELECT 1 / id, 2 / id, 3 / id, 4 / id, 5 / id FROM generate_rows(3)",
            "division by zero, in one of 1 / id, 2 / id, 3 / id, ...",
        ),
        (
            "SELECT abs(-9223372036854775807 - id) FROM generate_rows(5)",
            "Int64Array overflow on abs(-9223372036854775808), in abs(-9223372036854775807 - id)",
        ),
        (
            "SELECT (-9223372036854775807 - id) / (id - 2) FROM generate_rows(2)",
            "overflow of -9223372036854775808 / -1, in (-9223372036854775807 - id) / (id - 2)",
        ),
        (
            "SELECT CAST(id * 1000 AS TINYINT), CAST(id AS DOUBLE) FROM generate_rows(5)",
            "Can't cast value 1000 to type Int8, in CAST(id * 1000 AS Int8)",
        ),
        (
            "SELECT CAST(a AS INT) FROM (VALUES ('1'), ('x')) t(a)",
            "Cannot cast string 'x' to value of Int32 type, in CAST(a AS Int32)",
        ),
        (
            "SELECT CAST(a AS TIMESTAMP) FROM (VALUES ('2024-01-01'), ('x')) t(a)",
            "Error parsing timestamp from 'x': timestamp must contain at least 10 characters, in CAST(a AS Timestamp(ns))",
        ),
        (
            "SELECT to_timestamp(a) FROM (VALUES ('2024-01-01'), ('x')) t(a)",
            "Error parsing timestamp from 'x': timestamp must contain at least 10 characters, in to_timestamp(a)",
        ),
        // Large numbers are not written by all their digits.
        (
            "SELECT CAST(x * 1e300 AS BIGINT) FROM generate_rows(2)",
            "Can't cast value 1e300 to type Int64, in CAST(x * 1e300 AS Int64)",
        ),
        // A cast that the types need.
        (
            "SELECT id FROM generate_rows(2) WHERE x = substr('abc', 1)",
            "Cannot cast string 'abc' to value of Float64 type, in CAST(substr('abc', 1) AS Float64)",
        ),
        (
            "SELECT CAST(x AS DECIMAL(5,3)) FROM generate_rows(1000)",
            "100.000 is too large to store in a Decimal128 of precision 5. Max is 99.999, in CAST(x AS Decimal128(5, 3))",
        ),
        (
            "SELECT power(id - 1, -1) FROM generate_rows(5)",
            "zero raised to a negative power is undefined, in power(id - 1, -1)",
        ),
        (
            "CREATE FUNCTION f(a DOUBLE) RETURNS DOUBLE RETURN sqrt(a - 5); SELECT f(x) + 1 FROM generate_rows(3)",
            "cannot take square root of a negative number, in f(x)",
        ),
        (
            "CREATE TABLE t AS SELECT sqrt(-x) AS r FROM generate_rows(10)",
            "cannot take square root of a negative number, in sqrt(-x)",
        ),
        (
            "COPY (SELECT sqrt(-x) AS r FROM generate_rows(10)) TO 'x.parquet'",
            "cannot take square root of a negative number, in sqrt(-x)",
        ),
    ] {
        let unfused = format!("SET warpframe.fuse = false; {query}");
        for (backend, query) in [("auto", query), ("interpreted", query), ("auto", &unfused)] {
            let run = warpframe(folder.path(), &["sql", "--backend", backend, query, "--format", "csv"]);
            assert_eq!(
                (run.code, run.stderr),
                (Some(1), format!("error: {expected}\n")),
                "{backend}: {query}"
            );
        }
    }
    for out in ["x.csv", "x.parquet", "x.arrow"] {
        let run = ["sql", "SELECT 1 / id AS q FROM generate_rows(3)", "--out", out];
        expect_failure(folder.path(), &run, 1, &["error: division by zero, in 1 / id\n"]);
    }
}

#[test]
fn errors_of_plans_are_sentences_for_users() {
    let folder = tempdir().unwrap();
    for (query, expected) in [
        (
            "SELECT substr('abc')",
            "substr takes a text and the position of a character: use substr(text, position",
        ),
        (
            "SELECT lag(x) FROM rows",
            "lag is a window function: write lag(...) OVER (...), with ORDER BY in it for an order",
        ),
        (
            "SELECT row_number() FROM rows",
            "row_number is a window function: write row_number(...) OVER (...)",
        ),
        (
            "SELECT max(x, y) FROM rows",
            "Function 'max' user-defined coercion failed with: min/max was called with 2 arguments",
        ),
        ("SELECT * FROM nosuch", "table 'nosuch' not found, at line 1, column 15"),
        ("INSERT INTO nosuch VALUES (1)", "table 'nosuch' not found"),
        ("SELECT * FROM rows ORDER BY nosuch", "there is no column 'nosuch': use one of id, x, y, z\n"),
        (
            "SELECT * FROM generate_rows(2) JOIN generate_rows(3)",
            "two tables have the name generate_rows(), and both have a column 'id': rename one table with AS",
        ),
        (
            "SELECT x FROM rows a, rows b",
            "several tables have a column 'x': write the name of a table before it, as in t.x",
        ),
        (
            "SELECT x FROM rows GROUP BY y",
            "'rows.x' must appear in GROUP BY clause because it's not an aggregate expression: Either add 'rows.x' to \
             GROUP BY clause, or use an aggregate function like ANY_VALUE(rows.x)",
        ),
        ("SELECT regexp_like('a', '(')", "error: regex parse error"),
        (
            "SELECT max(id) FROM generate_rows(-1)",
            "takes a whole number of rows from 0 to 9007199254740992, not -1: use",
        ),
        (
            "SET datafusion.execution.batch_size = 'abc'",
            "cannot set datafusion.execution.batch_size to 'abc': invalid digit",
        ),
    ] {
        let run = warpframe(folder.path(), &["sql", query, "--format", "csv"]);
        assert_eq!(run.code, Some(1), "{query}: {run:#?}");
        assert!(run.stderr.contains(expected), "{query}\n{}", run.stderr);
        for layer in ["Execution error", "External error", "Arrow error", "datafusion.public"] {
            assert!(!run.stderr.contains(layer), "{query}\n{}", run.stderr);
        }
    }
}

#[test]
fn clauses_of_aggregates_are_refused_in_scalar_functions() {
    let folder = tempdir().unwrap();
    for (call, clause) in [
        ("sqrt(DISTINCT x)", "DISTINCT or ALL"),
        ("sqrt(x) FILTER (WHERE x > 1)", "FILTER"),
        ("sqrt(x ORDER BY y)", "a clause behind its arguments"),
        ("sqrt(x) OVER ()", "OVER"),
        ("sqrt(x) IGNORE NULLS", "IGNORE or RESPECT NULLS"),
        ("sqrt(x) WITHIN GROUP (ORDER BY x)", "WITHIN GROUP"),
        ("log3(x, y, z) OVER ()", "OVER"),
    ] {
        let query = format!("SELECT {call} FROM generate_rows(3)");
        let expected =
            format!("has a value for each row, and cannot be called with {clause}: leave {clause} out");
        expect_failure(folder.path(), &["sql", &query], 1, &[&expected]);
    }
    let query = "SELECT count(DISTINCT x) FILTER (WHERE x > 1) AS n, sum(sum(x)) OVER () AS s, \
                 first_value(max(x)) OVER (ORDER BY max(y)) AS f FROM generate_rows(3)";
    assert_eq!(ok(folder.path(), &["sql", query, "--format", "csv"]).stdout, "n,s,f\n2,6.0,3.0\n");
}

#[test]
fn functions_name_the_types_that_they_take() {
    let folder = tempdir().unwrap();
    for (query, expected) in [
        (
            "SELECT avg(a) FROM (VALUES ('x')) t(a)",
            "the function 'avg' takes Decimal, Duration or Float64, not Utf8",
        ),
        (
            "SELECT sum('a')",
            "the function 'sum' takes Decimal, UInt64, Int64, Float64, Duration or Interval, not Utf8",
        ),
    ] {
        let failed = expect_failure(folder.path(), &["sql", query], 1, &[expected, "cast the argument"]);
        assert!(!failed.stderr.contains("DataFusion"), "{}", failed.stderr);
    }
}
