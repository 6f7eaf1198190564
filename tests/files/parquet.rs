//! Parquet files of other writers.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use super::common::{expect_failure, ok};

#[test]
fn files_with_faulty_footers_are_read() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/parquet-testing");
    for (name, column, expected) in [
        ("repeated_no_annotation", "id", "6,6,21"),
        ("dict-page-offset-zero", "l_partkey", "39,39,60528"),
        ("nation.dict-malformed", "nation_key", "25,25,300"),
    ] {
        let file = files.join(format!("{name}.parquet"));
        let file = file.to_string_lossy();
        let (table, out) = (format!("t={file}"), format!("{name}.parquet"));
        let query = format!("SELECT count(*) AS n, count({column}) AS c, sum({column}) AS s FROM t");
        let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{file}'; {query}");
        ok(at, &["run", "--in", &file, "--select", "*", "--out", &out]);
        let run_table = format!("t={out}");
        for arguments in [["--table", &table, "-q", &query], ["--table", &run_table, "-q", &query]] {
            let run = ok(at, &[&["sql", "--format", "csv"], &arguments[..]].concat());
            assert_eq!(run.stdout.lines().nth(1), Some(expected), "{arguments:?}");
        }
        assert_eq!(ok(at, &["sql", "--format", "csv", "-q", &create]).stdout.lines().nth(1), Some(expected));
    }
}

#[test]
fn an_input_without_rows_gives_an_output_without_rows() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(
        at,
        &[
            "sql",
            "--format",
            "parquet",
            "--out",
            "none.parquet",
            "-q",
            "SELECT 1 AS id, 'a' AS s, 1.5 AS x LIMIT 0",
        ],
    );
    fs::create_dir(at.join("days")).unwrap();
    for day in ["1", "2"] {
        fs::copy(at.join("none.parquet"), at.join(format!("days/{day}.parquet"))).unwrap();
    }
    for input in ["none.parquet", "days"] {
        for out in ["out.parquet", "out"] {
            let run = [
                "run",
                "--in",
                input,
                "--select",
                "id, log3(x, x, x) AS r, s",
                "--where",
                "id > 0",
                "--out",
                out,
                "--overwrite",
            ];
            let run = ok(at, &run);
            assert!(run.stderr.contains("0 rows"), "{}", run.stderr);
            let table = format!("t={out}");
            let rows = ok(at, &["sql", "--format", "csv", "--table", &table, "-q", "SELECT * FROM t"]).stdout;
            assert_eq!(rows, "id,r,s\n");
            let types = "SELECT data_type FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position";
            let types = ok(at, &["sql", "--format", "csv", "--table", &table, "-q", types]).stdout;
            assert_eq!(types, "data_type\nInt64\nFloat64\nUtf8\n");
        }
    }
}

#[test]
fn columns_of_several_files_are_found_by_name_and_may_have_nulls_in_some() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("d")).unwrap();
    let write = |name: &str, query: &str| {
        ok(at, &["sql", "--format", "parquet", "--out", &format!("d/{name}.parquet"), "-q", query]);
    };
    write("1", "SELECT 1 AS id, 'a' AS s");
    write("2", "SELECT 'b' AS s, 2 AS id");
    write("3", "SELECT column1 AS s, column2 AS id FROM (VALUES ('c', 3), (NULL, NULL))");
    let rows = "id,s\n1,a\n2,b\n3,c\n,\n";
    for table in ["t=d", "t=d/*.parquet"] {
        let query = ["sql", "--format", "csv", "--table", table, "-q", "SELECT * FROM t ORDER BY id"];
        assert_eq!(ok(at, &query).stdout, rows);
    }
    ok(at, &["run", "--in", "d", "--select", "*", "--out", "out.parquet", "--threads", "2"]);
    let query = ["sql", "--format", "csv", "--table", "t=out.parquet", "-q", "SELECT * FROM t"];
    assert_eq!(ok(at, &query).stdout, rows);
    write("4", "SELECT 4 AS id, 4 AS s");
    let run = ["run", "--in", "d", "--select", "*", "--out", "no.parquet"];
    expect_failure(
        at,
        &run,
        1,
        &["different columns", "column 2 is s Utf8 in 'd/1.parquet' and s Int64 in 'd/4.parquet'"],
    );
}
