//! JSON that `COPY`, `INSERT` and runs write, and the types of numbers that are read.

use std::fs;

use tempfile::tempdir;

use super::common::{expect_failure, ok};

/// A query whose rows have NULL, NaN and infinities.
const ROWS: &str = "SELECT 1 AS a, CAST(NULL AS VARCHAR) AS b, x FROM (VALUES (CAST('NaN' AS DOUBLE)), \
                    (CAST('-Infinity' AS DOUBLE)), (NULL), (0.5)) v(x)";

/// The objects of its rows, with strings for numbers that are not finite.
const OBJECTS: &str = "{\"a\":1,\"b\":null,\"x\":\"NaN\"}\n{\"a\":1,\"b\":null,\"x\":\"-Infinity\"}\n\
                       {\"a\":1,\"b\":null,\"x\":null}\n{\"a\":1,\"b\":null,\"x\":0.5}\n";

#[test]
fn copy_and_insert_write_the_objects_that_out_writes() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let written = |name: &str| fs::read_to_string(at.join(name)).unwrap();
    ok(at, &["sql", "--out", "out.ndjson", ROWS]);
    assert_eq!(written("out.ndjson"), OBJECTS);
    for (name, options) in [
        ("copy.ndjson", ""),
        ("copy.json", ""),
        ("as.txt", "STORED AS NDJSON"),
        ("said.jsonl", "OPTIONS ('format.non_finite' 'STRING')"),
    ] {
        ok(at, &["sql", &format!("COPY ({ROWS}) TO '{name}' {options}")]);
        assert_eq!(written(name), OBJECTS, "{name}");
    }
    let lost = OBJECTS.replace("\"NaN\"", "null").replace("\"-Infinity\"", "null");
    ok(at, &["sql", &format!("COPY ({ROWS}) TO 'null.ndjson' OPTIONS ('non_finite' 'null')")]);
    assert_eq!(written("null.ndjson"), lost);
    for (folder, options, objects) in
        [("s", "", OBJECTS), ("n", "OPTIONS ('format.non_finite' 'null')", lost.as_str())]
    {
        fs::create_dir(at.join(folder)).unwrap();
        let table = format!(
            "CREATE EXTERNAL TABLE t (a BIGINT, b VARCHAR, x DOUBLE) STORED AS NDJSON LOCATION '{folder}/' {options}"
        );
        ok(at, &["sql", &format!("CREATE TABLE r AS {ROWS}; {table}; INSERT INTO t SELECT * FROM r")]);
        let file = fs::read_dir(at.join(folder)).unwrap().next().unwrap().unwrap().path();
        assert_eq!(fs::read_to_string(file).unwrap(), objects, "{folder}");
    }
    // What is written is read back.
    let back = "SELECT a, b, isnan(x) AS n, x IS NULL AS u FROM 'copy.ndjson'";
    let read = ok(at, &["sql", "--format", "csv", back]).stdout;
    assert_eq!(read, "a,b,n,u\n1,,true,false\n1,,false,false\n1,,,true\n1,,false,false\n");
    let copy = |options: &str| format!("COPY (SELECT 1 AS a) TO 'bad.ndjson' OPTIONS ({options})");
    expect_failure(at, &["sql", &copy("'format.non_finite' 'nil'")], 1, &["'string' or 'null', not 'nil'"]);
    expect_failure(
        at,
        &["sql", "COPY (SELECT a.id, b.id FROM generate_rows(1) a, generate_rows(1) b) TO 'bad.ndjson'"],
        1,
        &["two columns 'id'", "AS"],
    );
    assert!(!at.join("bad.ndjson").exists());
}

#[test]
fn runs_choose_what_nan_becomes() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["sql", "--out", "in.parquet", ROWS]);
    let run = |more: &[&str]| {
        let arguments =
            ["run", "--in", "in.parquet", "--select", "x", "--out", "-", "--out-format", "ndjson"];
        ok(at, &[&arguments[..], more].concat()).stdout
    };
    assert_eq!(run(&[]), "{\"x\":\"NaN\"}\n{\"x\":\"-Infinity\"}\n{\"x\":null}\n{\"x\":0.5}\n");
    let lost = "{\"x\":null}\n{\"x\":null}\n{\"x\":null}\n{\"x\":0.5}\n";
    assert_eq!(run(&["--json-non-finite", "null"]), lost);
    ok(at, &["run", "--in", "in.parquet", "--select", "x", "--out", "o.ndjson", "--json-non-finite", "null"]);
    assert_eq!(fs::read_to_string(at.join("o.ndjson")).unwrap(), lost);
}

#[test]
fn integers_keep_their_digits() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (values, data_type, read) in [
        (["18446744073709551615", "9007199254740993"], "UInt64", "18446744073709551615\n9007199254740993"),
        (["18446744073709551616", "-1"], "Utf8", "18446744073709551616\n-1"),
        (["9007199254740993", "0.5"], "Utf8", "9007199254740993\n0.5"),
        (["9007199254740992", "0.5"], "Float64", "9007199254740992.0\n0.5"),
        (["1e300", "-1"], "Float64", "1e300\n-1.0"),
    ] {
        fs::write(at.join("n.ndjson"), values.map(|value| format!("{{\"v\":{value}}}\n")).concat()).unwrap();
        let query = "SELECT v, arrow_typeof(v) AS t FROM 'n.ndjson'";
        let rows = ok(at, &["sql", "--format", "csv", query]).stdout;
        let expected = read.lines().map(|value| format!("{value},{data_type}\n")).collect::<String>();
        assert_eq!(rows, format!("v,t\n{expected}"), "{values:?}");
    }
}
