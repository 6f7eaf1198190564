//! Parquet files of other writers.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use super::common::ok;

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
