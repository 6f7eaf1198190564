//! The formats of results, on stdout and in files.

use std::fs::File;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use tempfile::tempdir;

use crate::common::{command, entries, expect_failure, finish, ok};

const VALUES: &str = "SELECT * FROM (VALUES (1, 'a|b', 1.5), (20, NULL, 'NaN'::DOUBLE), (300, '数据', '-inf'::DOUBLE)) \
                      AS t (n, \"t|x\", f)";

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    ok(folder, &[&["sql"], arguments].concat()).stdout
}

#[test]
fn tables_are_aligned_by_the_width_of_characters() {
    let folder = tempdir().unwrap();
    assert_eq!(
        stdout(folder.path(), &[VALUES]),
        "+-----+------+------+\n\
         |   n | t|x  |    f |\n\
         +-----+------+------+\n\
         |   1 | a|b  |  1.5 |\n\
         |  20 | NULL |  NaN |\n\
         | 300 | 数据 | -inf |\n\
         +-----+------+------+\n"
    );
    assert_eq!(
        stdout(folder.path(), &[VALUES, "--format", "box", "--max-rows", "2"]),
        "┌─────┬──────┬──────┐\n\
         │   n │ t|x  │    f │\n\
         ├─────┼──────┼──────┤\n\
         │   1 │ a|b  │  1.5 │\n\
         │   … │ …    │    … │\n\
         │ 300 │ 数据 │ -inf │\n\
         └─────┴──────┴──────┘\n\
         3 rows, the first 1 and the last 1 shown\n"
    );
    assert_eq!(
        stdout(folder.path(), &[VALUES, "--format", "markdown"]),
        "|   n | t\\|x |    f |\n|----:|------|-----:|\n|   1 | a\\|b |  1.5 |\n|  20 | NULL |  NaN |\n| 300 | 数据 | -inf |\n"
    );
    assert_eq!(
        stdout(folder.path(), &[VALUES, "--format", "markdown", "--max-rows", "2"]),
        "|   n | t\\|x |    f |\n|----:|------|-----:|\n|   1 | a\\|b |  1.5 |\n|   … | …    |    … |\n| 300 | 数据 | -inf |\n\n\
         3 rows, the first 1 and the last 1 shown\n"
    );
    assert_eq!(
        stdout(
            folder.path(),
            &["SELECT * FROM (VALUES (1, 'x\ny'), (1, NULL)) AS t (a, \"größe\")", "--format", "line"]
        ),
        "    a = 1\ngröße = x\ny\n\n    a = 1\ngröße = NULL\n"
    );
}

#[test]
fn the_first_and_the_last_rows_of_a_limited_table_are_shown() {
    let folder = tempdir().unwrap();
    for (rows, limit) in [(10, 10), (11, 10), (100_000, 7), (20_000, 1), (3, 5), (1, 1)] {
        let query = format!("SELECT id FROM generate_rows({rows}) ORDER BY id");
        let text = stdout(folder.path(), &[&query, "--max-rows", &limit.to_string()]);
        let shown: Vec<_> =
            text.lines().filter_map(|line| line.trim_matches(['|', ' ']).parse::<i64>().ok()).collect();
        let first = if rows > limit { (limit + 1) / 2 } else { rows };
        let last = if rows > limit { limit / 2 } else { 0 };
        let expected: Vec<i64> = (0..first).chain(rows - last..rows).collect();
        assert_eq!(shown, expected, "{rows} {limit}: {text}");
        assert_eq!(text.contains("shown"), rows > limit, "{text}");
    }
}

#[test]
fn a_table_of_more_rows_than_are_kept_is_written_whole() {
    let folder = tempdir().unwrap();
    let text = stdout(folder.path(), &["SELECT id, x, y, z FROM generate_rows(1200000) ORDER BY id"]);
    let shown = text.lines().skip(3).take(1_200_000).enumerate();
    for (row, line) in shown {
        assert!(line.trim_start_matches(['|', ' ']).starts_with(&format!("{row} |")), "{row}: {line}");
    }
    assert_eq!(text.lines().count(), 1_200_004);
}

#[test]
fn json_keeps_null_nan_and_infinity_apart() {
    let folder = tempdir().unwrap();
    let rows = [
        r#"{"n":1,"t|x":"a|b","f":1.5}"#,
        r#"{"n":20,"t|x":null,"f":"NaN"}"#,
        r#"{"n":300,"t|x":"数据","f":"-Infinity"}"#,
    ];
    assert_eq!(stdout(folder.path(), &[VALUES, "--format", "ndjson"]), rows.join("\n") + "\n");
    assert_eq!(stdout(folder.path(), &[VALUES, "--format", "json"]), format!("[{}]\n", rows.join(",")));
    let nulls = stdout(folder.path(), &[VALUES, "--format", "ndjson", "--json-non-finite", "null"]);
    let floats: Vec<serde_json::Value> =
        nulls.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(floats.iter().map(|row| row["f"].as_f64()).collect::<Vec<_>>(), [Some(1.5), None, None]);
    let nested =
        "SELECT make_array(1.5, 'NaN'::DOUBLE, NULL) AS a, arrow_cast('inf'::DOUBLE, 'Float32') AS b";
    assert_eq!(
        stdout(folder.path(), &[nested, "--format", "ndjson"]),
        "{\"a\":[1.5,\"NaN\",null],\"b\":\"Infinity\"}\n"
    );
    let twice = "SELECT a.id, b.id FROM generate_rows(1) a JOIN generate_rows(1) b ON a.id = b.id";
    expect_failure(folder.path(), &["sql", twice, "--format", "ndjson"], 1, &["two columns", "'id'", "AS"]);
}

#[test]
fn a_file_has_the_format_of_its_extension() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let query = "SELECT id FROM generate_rows(3) ORDER BY id";
    let files = [
        ("a.csv", "id\n0\n1\n2\n"),
        ("a.tsv", "id\n0\n1\n2\n"),
        ("a.json", "[{\"id\":0},{\"id\":1},{\"id\":2}]\n"),
        ("a.ndjson", "{\"id\":0}\n{\"id\":1}\n{\"id\":2}\n"),
        ("a.jsonl", "{\"id\":0}\n{\"id\":1}\n{\"id\":2}\n"),
        ("a.md", "| id |\n|---:|\n|  0 |\n|  1 |\n|  2 |\n"),
        ("a.txt", "+----+\n| id |\n+----+\n|  0 |\n|  1 |\n|  2 |\n+----+\n"),
    ];
    for (name, expected) in files {
        assert_eq!(stdout(at, &[query, "--out", name]), "");
        assert_eq!(std::fs::read_to_string(at.join(name)).unwrap(), expected, "{name}");
    }
    for name in ["a.parquet", "a.pq", "a.arrow", "a.feather"] {
        assert_eq!(stdout(at, &[query, "--out", name]), "");
    }
    let magic = |name: &str| std::fs::read(at.join(name)).unwrap()[..4].to_vec();
    assert_eq!([magic("a.parquet"), magic("a.pq")], [b"PAR1", b"PAR1"]);
    assert_eq!([magic("a.arrow"), magic("a.feather")], [b"ARRO", b"ARRO"]);
    let read = "SELECT sum(id) AS s FROM a";
    for name in ["a.parquet", "a.csv", "a.arrow"] {
        assert_eq!(stdout(at, &["--table", name, read, "--format", "csv"]), "s\n3\n", "{name}");
    }
    assert_eq!(entries(at).len(), 11);
    if cfg!(unix) {
        assert_eq!(stdout(at, &[query, "--out", "/dev/stdout"]), files[6].1);
    }
}

#[test]
fn stdout_takes_binary_formats_in_a_pipe() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let query = "SELECT id FROM generate_rows(20000) ORDER BY id";
    for format in ["parquet", "arrow"] {
        let out = File::create(at.join("out")).unwrap();
        let run = command(at).args(["sql", query, "--format", format]).stdout(out).output().unwrap();
        assert_eq!(finish(run).code, Some(0), "{format}");
        let file = File::open(at.join("out")).unwrap();
        let batches: Vec<RecordBatch> = match format {
            "arrow" => {
                let reader = arrow::ipc::reader::StreamReader::try_new(file, None).unwrap();
                reader.map(Result::unwrap).collect()
            }
            _ => {
                let reader =
                    parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 1024).unwrap();
                reader.map(Result::unwrap).collect()
            }
        };
        let values = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
        assert!(values.copied().eq(0..20_000), "{format}");
    }
}

#[test]
fn a_dash_is_the_standard_output() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    assert_eq!(stdout(at, &["SELECT 1 AS a", "--out", "-", "--format", "csv"]), "a\n1\n");
    assert_eq!(stdout(at, &["SELECT 1 AS a", "--out", "-"]), "+---+\n| a |\n+---+\n| 1 |\n+---+\n");
    assert!(entries(at).is_empty());
}

#[test]
fn an_output_needs_rows() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for statement in ["SET datafusion.execution.batch_size = 7", "CREATE TABLE t AS SELECT 1 AS a"] {
        for file in ["e.csv", "e.parquet", "e.txt"] {
            let arguments = ["sql", statement, "--out", file];
            expect_failure(at, &arguments, 1, &["the last statement returns no rows", "end with a query"]);
        }
    }
    assert!(entries(at).is_empty());
    // No row is not the same as no rows.
    ok(at, &["sql", "SELECT 1 AS a WHERE false", "--out", "e.csv"]);
    assert_eq!(std::fs::read_to_string(at.join("e.csv")).unwrap(), "a\n");
}

#[test]
fn two_columns_of_one_name_are_not_written_to_files() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "3", "--out", "in.parquet"]);
    let query = "SELECT a.id, b.id FROM 'in.parquet' a JOIN 'in.parquet' b ON a.id = b.id ORDER BY 1";
    for extension in ["parquet", "csv", "csv.gz", "tsv", "json", "ndjson", "arrow", "arrows", "avro"] {
        let file = format!("o.{extension}");
        expect_failure(at, &["sql", query, "--out", &file], 1, &["two columns 'id'", "rename one with AS"]);
        let run = ["run", "--in", "in.parquet", "--select", "id, x AS id", "--out", &file];
        expect_failure(at, &run, 1, &["two columns have the name 'id'", "rename one with AS"]);
    }
    for extension in ["parquet", "csv", "ndjson", "arrow"] {
        let copy = format!("COPY ({query}) TO 'o.{extension}'");
        expect_failure(at, &["sql", &copy], 1, &["two columns 'id'", "rename one with AS"]);
    }
    assert_eq!(entries(at), ["in.parquet"]);
    // On the screen and in pipes they may be.
    assert_eq!(stdout(at, &[query, "--format", "csv"]), "id,id\n0,0\n1,1\n2,2\n");
}

#[test]
fn a_file_with_two_columns_of_one_name_is_named() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let column = || std::sync::Arc::new(arrow::array::Int64Array::from(vec![1])) as arrow::array::ArrayRef;
    let batch = RecordBatch::try_from_iter([("id", column()), ("id", column())]).unwrap();
    let file = File::create(at.join("d.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    for arguments in [&["sql", "FROM 'd.parquet'"][..], &["sql", "--table", "d.parquet", "FROM d"]] {
        expect_failure(at, arguments, 1, &["'d.parquet' has two columns 'id'", "other names"]);
    }
}

#[test]
fn copy_refuses_a_name_that_means_another_format() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (target, format) in [
        ("z.csv", "PARQUET"),
        ("z.parquet", "CSV"),
        ("z.json", "CSV"),
        ("z.tsv", "CSV"),
        ("z.csv.gz", "JSON"),
    ] {
        let copy = format!("COPY (SELECT 1 AS a) TO '{target}' STORED AS {format}");
        let words = ["the extension of", target, "leave STORED AS out"];
        expect_failure(at, &["sql", &copy], 1, &words);
    }
    assert!(entries(at).is_empty());
    ok(
        at,
        &["sql", "COPY (SELECT 1 AS a, 2 AS b) TO 'z.tsv' STORED AS CSV OPTIONS ('format.delimiter' '\t')"],
    );
    ok(
        at,
        &[
            "sql",
            "COPY (SELECT 1 AS a) TO 'z.json' STORED AS NDJSON; COPY (SELECT 1 AS a) TO 'z.csv/' STORED AS PARQUET",
        ],
    );
    assert_eq!(entries(at), ["z.csv", "z.json", "z.tsv"]);
}

#[test]
fn the_standard_input_needs_a_format() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("s.csv"), "id\n1\n").unwrap();
    let run = |arguments: &[&str]| {
        let mut child = command(at);
        child.args(arguments).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"id\n1\n").unwrap();
        finish(child.wait_with_output().unwrap())
    };
    for arguments in [&["sql", "FROM '/dev/stdin'"][..], &["sql", "--table", "t=-", "FROM t"]] {
        let refused = run(arguments);
        assert_eq!(refused.code, Some(1), "{refused:#?}");
        assert!(refused.stderr.contains("in SQL, read it by read_csv('-')"), "{}", refused.stderr);
    }
    assert_eq!(run(&["sql", "FROM read_csv('-')", "--format", "csv"]).stdout, "id\n1\n");
}
