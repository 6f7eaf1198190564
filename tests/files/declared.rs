//! Declared columns of `CREATE EXTERNAL TABLE`, and errors of its files.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use super::common::{expect_failure, ok};

fn create(columns: &str, format: &str, location: &str) -> String {
    format!(
        "CREATE EXTERNAL TABLE t ({columns}) STORED AS {format} LOCATION '{location}'; SELECT * FROM t ORDER BY 1"
    )
}

fn rows(at: &Path, statements: &str) -> String {
    ok(at, &["sql", "--format", "csv", statements]).stdout
}

#[test]
fn a_declared_column_is_in_a_file() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (format, extension) in
        [("PARQUET", "parquet"), ("NDJSON", "ndjson"), ("JSON", "json"), ("AVRO", "avro")]
    {
        let file = format!("x.{extension}");
        ok(at, &["sql", "--out", &file, "SELECT 1 AS id, 2.5 AS \"Amount\""]);
        assert_eq!(rows(at, &create("\"Amount\" DOUBLE, id INT", format, &file)), "Amount,id\n2.5,1\n");
        for (columns, words) in [
            (
                "id INT, Amount DOUBLE",
                ["declares a column 'amount', and", "the columns are id, Amount; write \"Amount\""],
            ),
            ("bogus INT, id INT", ["declares a column 'bogus', and", "the columns are id, Amount"]),
        ] {
            let none = format!("'{file}' has none of that name");
            let arguments = ["sql", &create(columns, format, &file)];
            expect_failure(at, &arguments, 1, &[words[0], words[1], &none]);
        }
        // A column that some files have is NULL in the others.
        let several = format!("several-{extension}");
        for (name, query) in
            [("a", "SELECT 1 AS id"), ("b", "SELECT 2 AS id"), ("c", "SELECT 3 AS id, 'x' AS s")]
        {
            fs::create_dir_all(at.join(&several)).unwrap();
            ok(at, &["sql", "--out", &format!("{several}/{name}.{extension}"), query]);
        }
        let location = format!("{several}/");
        if format != "AVRO" {
            assert_eq!(rows(at, &create("id INT, s VARCHAR", format, &location)), "id,s\n1,\n2,\n3,x\n");
        }
        let words = ["'s2'", &format!("none of the 3 files of '{location}' has one of that name")];
        expect_failure(at, &["sql", &create("id INT, s2 VARCHAR", format, &location)], 1, &words);
    }
    // Tables without files.
    for format in ["PARQUET", "NDJSON"] {
        let location = format!("new-{format}/");
        let table =
            format!("CREATE EXTERNAL TABLE t (id INT, s VARCHAR) STORED AS {format} LOCATION '{location}'");
        fs::create_dir(at.join(&location)).unwrap();
        let insert = format!("{table}; INSERT INTO t VALUES (1, NULL); SELECT * FROM t");
        assert_eq!(rows(at, &insert), "count\n1\nid,s\n1,\n", "{format}");
        assert_eq!(rows(at, &format!("{table}; SELECT * FROM t")), "id,s\n1,\n", "{format}");
    }
}

#[test]
fn columns_of_arrow_files_are_in_one_order() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("d")).unwrap();
    ok(at, &["sql", "--out", "d/1.arrow", "SELECT 1 AS a, 2 AS b"]);
    ok(at, &["sql", "--out", "d/2.arrow", "SELECT 3 AS a, 4 AS b"]);
    assert_eq!(rows(at, "SELECT * FROM 'd/*.arrow' ORDER BY a"), "a,b\n1,2\n3,4\n");
    assert_eq!(rows(at, &create("a BIGINT, b BIGINT", "ARROW", "d/1.arrow")), "a,b\n1,2\n");
    let arguments = ["sql", &create("b BIGINT, a BIGINT", "ARROW", "d/1.arrow")];
    expect_failure(
        at,
        &arguments,
        1,
        &["declares the columns b, a", "1.arrow' has a, b", "in the same order"],
    );
    ok(at, &["sql", "--overwrite", "--out", "d/2.arrow", "SELECT 4 AS b, 3 AS a"]);
    for statement in ["FROM 'd/*.arrow'", "CREATE EXTERNAL TABLE t STORED AS ARROW LOCATION 'd/'"] {
        expect_failure(at, &["sql", statement], 1, &["1.arrow' has a, b", "2.arrow' has b, a"]);
    }
}

#[test]
fn values_that_a_format_does_not_have_are_one_sentence() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let interval = "SELECT INTERVAL '1 month' AS i";
    let copy = format!("COPY ({interval}) TO 'i.parquet'");
    for (arguments, words) in [
        (vec!["sql", "--out", "i.parquet", interval], "cannot write the output as Parquet: "),
        (vec!["sql", &copy], "error: "),
        (
            vec!["sql", "--out", "u.avro", "SELECT arrow_cast('a', 'Dictionary(Int32, Utf8)') AS d"],
            "cannot write the output as Avro: ",
        ),
    ] {
        let error = expect_failure(at, &arguments, 1, &[words]).stderr;
        let layers = ["NYI", "Parquet error", "Arrow error", "External", "Schema error"];
        assert!(layers.iter().all(|layer| !error.contains(layer)), "{error}");
    }
}

#[test]
fn files_of_another_format_are_named() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("sales.csv"), "id,v\n1,2\n").unwrap();
    fs::create_dir(at.join("d")).unwrap();
    ok(at, &["sql", "--out", "d/a.parquet", "SELECT 1 AS id"]);
    fs::write(at.join("d/b.parquet"), "no Parquet at all").unwrap();
    for (format, location, file) in [
        ("PARQUET", "sales.csv", "'sales.csv': "),
        ("PARQUET", "d/", "'d/b.parquet': "),
        ("AVRO", "sales.csv", "'sales.csv': "),
        ("ARROW", "sales.csv", "'sales.csv' as Arrow IPC: "),
    ] {
        let statement = format!("CREATE EXTERNAL TABLE t STORED AS {format} LOCATION '{location}'");
        let error = expect_failure(at, &["sql", &statement], 1, &[file]);
        assert!(!error.stderr.contains(" error: ") && !error.stderr.contains("Parquet error"), "{error:?}");
    }
    let error = expect_failure(at, &["sql", "FROM 'd/b.parquet'"], 1, &["'d/b.parquet': "]);
    assert!(!error.stderr.contains("Parquet error"), "{error:?}");
}
