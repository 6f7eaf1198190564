//! Headers of CSV files: whether there is one, and how it is said.

use std::fs;

use tempfile::tempdir;

use super::common::{ok, warpframe};
use super::{query, session};

#[tokio::test]
async fn a_first_record_that_fits_the_others_is_no_header() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("t.csv");
    for (text, rows, has_note) in [
        ("id,name\n1,x\n2,y\n", vec!["1,x", "2,y"], false),
        ("0,w\n1,x\n2,y\n", vec!["0,w", "1,x", "2,y"], true),
        ("0.5,w\n1,x\n", vec!["0.5,w", "1.0,x"], true),
        (",w\n1,x\n", vec!["NULL,w", "1,x"], true),
        ("2024-01-01\n2024-01-02\n", vec!["2024-01-01", "2024-01-02"], true),
        ("a,b\nx,y\n", vec!["x,y"], false),
        ("\"1\",\"2\"\n3,4\n", vec!["3,4"], false),
        ("\"1\",\"2\"\n\"3\",\"4\"\n", vec!["1,2", "3,4"], true),
        ("1,2,3\n", vec!["1,2,3"], true),
        ("a,b,c\n", vec![], false),
        ("id,2024-01-01\n1,2024-01-02\n", vec!["1,2024-01-02"], false),
    ] {
        fs::write(&file, text).unwrap();
        let session = session(1).await;
        session.register_files("t", &file.to_string_lossy()).await.unwrap();
        let notes = session.take_notes();
        assert_eq!(!notes.is_empty(), has_note, "{text:?}: {notes:?}");
        assert_eq!(query(&session, "SELECT * FROM t").await.unwrap(), rows, "{text:?}");
        if has_note {
            assert!(notes[0].contains("t.csv' has no header") && notes[0].contains("column_1"), "{notes:?}");
            let count = query(&session, "SELECT count(column_1) FROM t").await;
            assert_eq!(
                count.unwrap(),
                [rows.iter().filter(|row| !row.starts_with("NULL")).count().to_string()]
            );
        }
        assert!(session.take_notes().is_empty(), "a note is given once");
    }
}

#[tokio::test]
async fn all_files_of_a_table_have_a_header_or_none() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let write = |name: &str, text: &str| fs::write(at.join(name), text).unwrap();
    // The first file has one record, which could be a header; the second one tells that there is none.
    write("1.csv", "a,b\n");
    write("2.csv", "x,1\ny,2\n");
    write("3.csv", "z,2.5\n");
    let session = session(2).await;
    let error = session.register_files("t", &at.to_string_lossy()).await;
    assert!(error.is_ok(), "{error:?}");
    let rows = query(&session, "SELECT * FROM t ORDER BY column_1").await.unwrap();
    assert_eq!(rows, ["a,b", "x,1", "y,2", "z,2.5"]);
}

#[tokio::test]
async fn files_with_and_without_a_header_are_no_table() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (one, other) in [("1,a\n2,b\n", "id,name\n3,c\n"), ("id,name\n3,c\n", "1,a\n2,b\n")] {
        fs::write(at.join("1.csv"), one).unwrap();
        fs::write(at.join("2.csv"), other).unwrap();
        let (with, without) = if one.starts_with("id") { ("1.csv", "2.csv") } else { ("2.csv", "1.csv") };
        let session = session(2).await;
        let error = session.register_files("t", &at.to_string_lossy()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("{with}' has one, and '")), "{error}");
        assert!(error.contains(&format!("{without}' has none, by their values")), "{error}");
        // The option says it for all files.
        let read = format!("SELECT column_1 FROM read_csv('{}', header => false) ORDER BY 1", at.display());
        assert_eq!(query(&session, &read).await.unwrap(), ["1", "2", "3", "id"]);
    }
    // With declared columns, the first record of the second file would be lost, or the header of it read as a row.
    for (one, other) in [("1,a\n2,b\n", "id,name\n3,c\n"), ("id,name\n3,c\n", "1,a\n2,b\n")] {
        fs::write(at.join("1.csv"), one).unwrap();
        fs::write(at.join("2.csv"), other).unwrap();
        let session = session(2).await;
        let create = |options: &str| {
            format!(
                "CREATE OR REPLACE EXTERNAL TABLE t (id INT, name VARCHAR) STORED AS CSV LOCATION '{}/' {options}; \
                 SELECT name FROM t ORDER BY name",
                at.display()
            )
        };
        let error = query(&session, &create("")).await.unwrap_err().find_root().message().into_owned();
        assert!(error.contains("2.csv"), "{error}");
        let said = query(&session, &create("OPTIONS ('format.has_header' 'true')")).await.unwrap();
        assert_eq!(said, ["b", "c"]);
    }
    // Files of text alone do not say that they have none.
    fs::write(at.join("1.csv"), "id,name\nx,y\n").unwrap();
    fs::write(at.join("2.csv"), "id,name\n3,4\n").unwrap();
    let session = session(2).await;
    session.register_files("t", &at.to_string_lossy()).await.unwrap();
    assert_eq!(query(&session, "SELECT id FROM t ORDER BY id").await.unwrap(), ["3", "x"]);
}

#[tokio::test]
async fn digits_with_leading_zeros_are_text() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("t.csv");
    for (text, rows, data_type) in [
        ("zip,n\n01234,1\n10001,2\n", vec!["01234,1", "10001,2"], "Utf8"),
        ("01234,x\n00501,y\n", vec!["01234,x", "00501,y"], "Utf8"),
        ("zip,n\n0,1\n10001,2\n", vec!["0,1", "10001,2"], "Int64"),
        ("zip,n\n0.50,1\n-07,2\n", vec!["0.50,1", "-07,2"], "Utf8"),
    ] {
        fs::write(&file, text).unwrap();
        let session = session(1).await;
        session.register_files("t", &file.to_string_lossy()).await.unwrap();
        assert_eq!(query(&session, "SELECT * FROM t").await.unwrap(), rows, "{text:?}");
        let first = if text.starts_with("zip") { "zip" } else { "column_1" };
        let types = query(&session, &format!("SELECT DISTINCT arrow_typeof({first}) FROM t")).await;
        assert_eq!(types.unwrap(), [data_type], "{text:?}");
    }
}

#[test]
fn doubts_about_a_file_are_notes() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (text, words) in [
        ("bob,london\nann,paris\n", ""),
        ("name,city\nann,paris\nbob,paris\n", ""),
        ("bob,london\nann,paris\nliz,london\n", "'london' is in the first line and again below it"),
        (
            "id;name\n1;x\n",
            "has one column: if ';' is between the values, set the delimiter (--csv-delimiter ';'",
        ),
        ("id\tname\n1\tx\n", "if '\\t' is between the values"),
        ("id,name\n1,x;y\n", ""),
    ] {
        fs::write(at.join("t.csv"), text).unwrap();
        let run = ok(at, &["sql", "SELECT count(*) FROM 't.csv'"]);
        assert!(
            run.stderr.contains(words) && run.stderr.is_empty() == words.is_empty(),
            "{text:?}: {}",
            run.stderr
        );
    }
    fs::write(at.join("t.csv"), "id;v\n1;2,5\n").unwrap();
    let run = warpframe(at, &["sql", "SELECT count(*) FROM 't.csv'"]);
    let words = "line 2: the record has 2 values, and there is 1 column; if ';' is between the values";
    assert!(run.code == Some(1) && run.stderr.contains(words), "{run:?}");
    let read = "SELECT id FROM read_csv('t.csv', delim => ';')";
    assert_eq!(ok(at, &["sql", "--format", "csv", read]).stdout, "id\n1\n");
}

#[tokio::test]
async fn declared_columns_tell_whether_there_is_a_header() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (text, columns, options, rows) in [
        ("1,a\n2,b\n", "id INT, s VARCHAR", "", vec!["1,a", "2,b"]),
        ("id,s\n1,a\n", "id INT, s VARCHAR", "", vec!["1,a"]),
        ("s,ID\na,1\n", "id INT, s VARCHAR", "", vec!["1,a"]),
        ("x,y\n1,a\n", "id INT, s VARCHAR", "", vec!["1,a"]),
        ("x,y\n1,a\n", "id VARCHAR, s VARCHAR", "", vec!["1,a"]),
        ("x,y\n1,a\n", "id VARCHAR, s VARCHAR", "'format.has_header' 'false'", vec!["x,y", "1,a"]),
        ("1,a\n2,b\n", "id INT, s VARCHAR", "'format.has_header' 'true'", vec!["2,b"]),
        ("1,a\n2,b\n", "id INT, s VARCHAR", "'format.has_header' 'detect'", vec!["1,a", "2,b"]),
    ] {
        let session = session(1).await;
        fs::write(at.join("t.csv"), text).unwrap();
        let options = if options.is_empty() { String::new() } else { format!("OPTIONS ({options})") };
        let create = format!(
            "CREATE EXTERNAL TABLE t ({columns}) STORED AS CSV LOCATION '{}/t.csv' {options}; SELECT * FROM t",
            at.display()
        );
        assert_eq!(query(&session, &create).await.unwrap(), rows, "{text:?} {columns} {options}");
    }
}

#[tokio::test]
async fn rows_that_are_inserted_get_a_header_where_the_others_have_one() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (name, text, rows) in [
        ("with", "id,s\n1,a\n", vec!["1,a", "7,x"]),
        ("without", "1,a\n", vec!["1,a", "7,x"]),
        ("none", "", vec!["7,x"]),
    ] {
        for columns in ["(id INT, s VARCHAR)", ""] {
            let place = at.join(format!("{name}{}", columns.len()));
            fs::create_dir(&place).unwrap();
            if !text.is_empty() {
                fs::write(place.join("a.csv"), text).unwrap();
            } else if columns.is_empty() {
                continue;
            }
            let session = session(2).await;
            let statements = format!(
                "CREATE EXTERNAL TABLE t {columns} STORED AS CSV LOCATION '{}/'; INSERT INTO t VALUES (7, 'x'); \
                 SELECT * FROM t ORDER BY 1",
                place.display()
            );
            assert_eq!(query(&session, &statements).await.unwrap(), rows, "{name} {columns}");
        }
    }
}

#[test]
fn the_command_says_what_it_has_detected_and_can_be_told() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("a.csv"), "1;NA\n2;x\n").unwrap();
    let sql = |more: &[&str]| {
        let run = warpframe(at, &[&["sql", "--format", "csv", "--csv-delimiter", ";"], more].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        run
    };
    let from = ["SELECT * FROM 'a.csv'"];
    let found = sql(&from);
    assert_eq!(found.stdout, "column_1,column_2\n1,NA\n2,x\n");
    assert_eq!(found.stderr.lines().count(), 1, "{}", found.stderr);
    let words = ["note: ", "a.csv' has no header", "column_1, column_2", "--csv-header yes"];
    assert!(words.iter().all(|word| found.stderr.contains(word)), "{}", found.stderr);
    // The note is given once for a file of several statements.
    let twice = sql(&["SELECT * FROM 'a.csv'; SELECT count(*) FROM 'a.csv'"]);
    assert_eq!(twice.stderr.matches("has no header").count(), 1, "{}", twice.stderr);
    let told = sql(&["--csv-header", "yes", from[0]]);
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("\"1\",NA\n2,x\n", ""));
    let told = sql(&["--csv-header", "no", "--csv-null", "NA", from[0]]);
    assert_eq!((told.stdout.as_str(), told.stderr.as_str()), ("column_1,column_2\n1,\n2,x\n", ""));
    for way in [
        &["--table", "t=a.csv", "SELECT * FROM t"][..],
        &["CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'a.csv'; FROM t"],
    ] {
        let run = sql(&[&["--csv-header", "yes"], way].concat());
        assert_eq!(run.stdout, "\"1\",NA\n2,x\n", "{way:?}");
    }
    // Options of the table come first.
    let own = "FROM read_csv('a.csv', header => false, delim => ';')";
    assert_eq!(sql(&["--csv-header", "yes", own]).stdout, "column_1,column_2\n1,NA\n2,x\n");
    let own =
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'a.csv' OPTIONS ('format.delimiter' '|'); FROM t";
    assert_eq!(sql(&[own]).stdout, "1;NA\n2;x\n");
    for wrong in [["--csv-delimiter", "ab"], ["--csv-quote", ""], ["--csv-header", "maybe"]] {
        let run = warpframe(at, &["sql", wrong[0], wrong[1], "SELECT 1"]);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains(wrong[0]), "{}", run.stderr);
    }
}

#[test]
fn own_headers_that_look_like_data_are_read_back() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for query in [
        "SELECT 1 AS \"1\", 2.5 AS \"2\"",
        "SELECT DATE '2024-01-01' AS \"2024-01-01\", true AS \"true\"",
        "SELECT 1 AS \"7\" WHERE false",
        "SELECT CAST(NULL AS INT) AS \"7\", 1 AS \"\"",
    ] {
        for extension in ["csv", "tsv"] {
            let out = format!("out.{extension}");
            ok(at, &["sql", "--out", &out, "--overwrite", query]);
            let text = fs::read_to_string(at.join(&out)).unwrap();
            let again = ok(at, &["sql", "--format", extension, &format!("FROM '{out}'")]);
            assert_eq!((again.stdout.as_str(), again.stderr.as_str()), (text.as_str(), ""), "{query}");
        }
        let copy = format!("COPY ({query}) TO 'copy.csv'");
        ok(at, &["sql", &copy]);
        assert_eq!(
            fs::read_to_string(at.join("copy.csv")).unwrap(),
            fs::read_to_string(at.join("out.csv")).unwrap()
        );
    }
    // A text for NULL, and a text that is the same.
    let copy = "COPY (SELECT * FROM (VALUES (1, 'NA'), (2, NULL), (3, '')) AS t(id, s)) TO 'na.csv' OPTIONS ('format.null_value' 'NA')";
    ok(at, &["sql", copy]);
    assert_eq!(fs::read_to_string(at.join("na.csv")).unwrap(), "id,s\n1,\"NA\"\n2,NA\n3,\"\"\n");
    let rows = "SELECT id, s IS NULL AS n, length(s) AS l FROM read_csv('na.csv', nullstr => 'NA')";
    let run = ok(at, &["sql", "--format", "csv", rows]);
    assert_eq!(run.stdout, "id,n,l\n1,false,2\n2,true,\n3,false,0\n");
}
