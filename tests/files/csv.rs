//! CSV: records, types, columns of several files, NULL and empty texts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::tempdir;
use warpframe::Session;

use super::common::{ok, warpframe};
use super::{query, session, table_error};

/// The ways to make files a table `t`: by the API, and by SQL with these declared columns, or with columns that are found.
async fn open(session: &Session, way: &str, files: &Path, columns: &str) {
    let location = files.to_string_lossy();
    match way {
        "register_files" => session.register_files("t", &location).await.unwrap(),
        "read_csv" => {
            let table = session.context().read_csv(location.as_ref(), Default::default()).await.unwrap();
            session.context().register_table("t", table.into_view()).unwrap();
        }
        _ => {
            let columns = if way == "declared" { columns } else { "" };
            let create = format!(
                "CREATE EXTERNAL TABLE t {columns} STORED AS CSV LOCATION '{location}' OPTIONS ('format.has_header' 'true')"
            );
            session.run_script(&create).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_line_break_in_quotes_is_no_end_of_a_record_with_any_number_of_threads() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("t.csv");
    for line_break in ["\n", "\r\n", "\r"] {
        let mut text = "id,v,note\n".to_owned();
        for id in 0..3000 {
            match id % 7 {
                0 => writeln!(text, "{id},{id},\"aaa{line_break}7,7,bb\"\"b,\"").unwrap(),
                _ => writeln!(text, "{id},{id},x").unwrap(),
            }
        }
        fs::write(&file, text).unwrap();
        for way in ["register_files", "read_csv", "found", "declared"] {
            for threads in [1, 2, 3, 8] {
                let session = session(threads).await;
                open(&session, way, &file, "(id BIGINT, v DOUBLE, note VARCHAR)").await;
                let rows = query(&session, "SELECT count(*), sum(id), sum(v * 2.0), max(note) FROM t").await;
                assert_eq!(rows.unwrap()[0], "3000,4498500,8997000.0,x", "{way} {threads} {line_break:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_without_line_breaks_in_quotes_is_split() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("t.csv");
    for line_end in ["\n", "\r\n", "\r"] {
        let records = (0..1000).map(|id| format!("{id},\"a \"\"{id}\"\", b\"{line_end}"));
        fs::write(&file, format!("id,text{line_end}{}", records.collect::<String>())).unwrap();
        for threads in [1, 2, 3, 7, 64] {
            let session = session(threads).await;
            session.register_files("t", &file.to_string_lossy()).await.unwrap();
            let plan = query(&session, "EXPLAIN FORMAT INDENT SELECT id FROM t").await.unwrap().join("\n");
            assert_eq!(plan.contains("t.csv:0.."), threads > 1, "{plan}");
            let rows =
                query(&session, "SELECT count(*), sum(id), count(DISTINCT text) FROM t").await.unwrap();
            assert_eq!(rows, ["1000,499500,1000"], "{threads} threads, {line_end:?}");
        }
        // An error names the line of the file, not that of the part.
        let with_fault =
            fs::read_to_string(&file).unwrap().replace("\r\n987,", "\r\nx,").replace("\n987,", "\nx,");
        if line_end == "\r" {
            continue;
        }
        let broken = folder.path().join("broken.csv");
        fs::write(&broken, with_fault).unwrap();
        let session = session(4).await;
        open(&session, "declared", &broken, "(id BIGINT, text VARCHAR)").await;
        let error = query(&session, "SELECT sum(id) FROM t").await.unwrap_err().find_root().to_string();
        assert!(error.contains("line 989: the value 'x' of column 'id' is no BIGINT"), "{error}");
    }
}

#[tokio::test]
async fn types_fit_values_that_come_late() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("late.csv");
    // Whole numbers, nothing, dates and booleans at first; then others.
    let early = (0..1500).map(|row| format!("{row},1,,2024-01-01,true,1"));
    let late = "1500,2.5,x,2024-01-01 10:00:00.5,no,99999999999999999999";
    let lines: Vec<_> = early.chain([late.to_owned()]).collect();
    fs::write(&file, format!("id,v,late,day,flag,big\n{}\n", lines.join("\n"))).unwrap();
    let session = session(2).await;
    session.register_files("t", &file.to_string_lossy()).await.unwrap();
    let types = "SELECT arrow_typeof(v), arrow_typeof(late), arrow_typeof(day), arrow_typeof(flag), arrow_typeof(big) FROM t LIMIT 1";
    assert_eq!(query(&session, types).await.unwrap(), ["Float64,Utf8,Timestamp(ms),Utf8,Utf8"]);
    let values = "SELECT sum(v), max(late), max(day), min(flag), count(late) FROM t";
    assert_eq!(query(&session, values).await.unwrap(), ["1502.5,x,2024-01-01T10:00:00.500,no,1"]);

    // Where only the beginning was looked at, an error says which value does not fit.
    let create = format!(
        "CREATE EXTERNAL TABLE u STORED AS CSV LOCATION '{}' OPTIONS ('format.schema_infer_max_rec' '1000')",
        file.display()
    );
    session.run_script(&create).await.unwrap();
    let error = query(&session, "SELECT sum(v) FROM u").await.unwrap_err().find_root().to_string();
    for word in ["late.csv", "line 1502", "'2.5'", "column 'v'", "BIGINT", "CREATE EXTERNAL TABLE"] {
        assert!(error.contains(word), "'{word}' is not in: {error}");
    }
    // A column that is empty at first is a text, and not lost.
    assert_eq!(query(&session, "SELECT max(late) FROM u").await.unwrap(), ["x"]);
}

#[test]
fn an_error_in_a_csv_file_is_one_sentence_with_the_place() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (name, text, words) in [
        ("more", "a,b\n1,2\n\n3,4,5\n", "line 4: the record has 3 values, and there are 2 columns"),
        ("fewer", "a,b\n1\n", "line 2: the record has 1 values, and there are 2 columns"),
        ("open", "a,b\n1,\"x\ny\"\n2,\"z\n", "line 4: a quote is opened in this record and not closed"),
        ("twice", "a,b,a\n1,2,3\n", "its header has two columns 'a'"),
        ("empty", "", "there are no columns in 'empty.csv'"),
    ] {
        fs::write(at.join(format!("{name}.csv")), text).unwrap();
        let table = format!("t={name}.csv");
        let run = warpframe(at, &["sql", "--table", &table, "-q", "SELECT * FROM t"]);
        assert_eq!(run.code, Some(1), "{name}: {run:?}");
        assert!(run.stderr.contains(words) && run.stderr.contains(name), "{name}: {}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
    // The rest of a large file is not one value because of a quote that is not closed.
    fs::write(at.join("endless.csv"), format!("a,b\n1,2\n3,\"{}", "4,5\n".repeat(17 * 1024 * 1024))).unwrap();
    let run = warpframe(at, &["sql", "--table", "t=endless.csv", "-q", "SELECT sum(a) FROM t"]);
    assert!(run.stderr.contains("line 3: a record is longer than 64 MiB"), "{}", run.stderr);
    fs::write(at.join("bytes.csv"), b"a,b\n1,x\n2,\xff\xfe\n").unwrap();
    let run = warpframe(at, &["sql", "--table", "t=bytes.csv", "-q", "SELECT b FROM t"]);
    assert!(run.stderr.contains("line 3: the value of column 'b' is not UTF-8 text"), "{}", run.stderr);
}

#[tokio::test]
async fn columns_are_found_by_the_header_of_each_file() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let write = |name: &str, text: &str| fs::write(at.join(name), text).unwrap();
    write("1.csv", "id,name,v\n1,one,1.5\n");
    write("2.csv", "v,id,name\n2.5,2,two\n");
    write("3.csv", "name,v,id\nthree,3,3\n");
    let session = session(2).await;
    session.register_files("t", &at.to_string_lossy()).await.unwrap();
    let rows = query(&session, "SELECT * FROM t ORDER BY id").await.unwrap();
    assert_eq!(rows, ["1,one,1.5", "2,two,2.5", "3,three,3.0"]);
    assert_eq!(query(&session, "SELECT sum(v), count(*) FROM t").await.unwrap(), ["7.0,3"]);

    // Declared columns: the names of the header, in any order and case, or new names for all of them.
    let create = |columns: &str, name: &str| {
        let location = at.join(name);
        format!(
            "DROP TABLE IF EXISTS d; CREATE EXTERNAL TABLE d ({columns}) STORED AS CSV LOCATION '{}';",
            location.display()
        )
    };
    let declared = create("v DOUBLE, ID INT", "1.csv") + "SELECT * FROM d";
    assert_eq!(query(&session, &declared).await.unwrap(), ["1.5,1"]);
    let renamed = create("a INT, b VARCHAR, c REAL", "1.csv") + "SELECT c, b, a FROM d";
    assert_eq!(query(&session, &renamed).await.unwrap(), ["1.5,one,1"]);
    let partly = create("id INT, b VARCHAR, c REAL", "1.csv") + "SELECT c, b, id FROM d";
    let error = query(&session, &partly).await.unwrap_err().to_string();
    assert!(error.contains("has no column 'b': it has 'id', 'name', 'v'"), "{error}");

    write("4.csv", "name,v\nfour,4\n");
    let error = table_error(at, "SELECT * FROM t").await;
    assert!(
        error.contains("4.csv") && error.contains("1.csv") && error.contains("no column 'id'"),
        "{error}"
    );
    write("4.csv", "name,v,id,more\nfour,4,4,4\n");
    let error = table_error(at, "SELECT * FROM t").await;
    assert!(error.contains("4.csv") && error.contains("a column 'more'"), "{error}");
    // Two columns of one name can be read under other names.
    write("twice.csv", "a,a\n1,2\n");
    let twice = create("x INT, y INT", "twice.csv") + "SELECT x, y FROM d";
    assert_eq!(query(&session, &twice).await.unwrap(), ["1,2"]);
}

#[test]
fn own_csv_is_read_back_as_it_was() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let rows = "SELECT * FROM (VALUES (1, 'a', 1.5), (2, '', 'NaN'), (3, NULL, NULL), (4, 'x, \"y\"', '-Infinity'), \
                (5, 'line\nbreak', 1e300), (6, ' ', '-0.0')) AS t(id, s, v)";
    ok(at, &["sql", "--format", "csv", "--out", "out.csv", "-q", rows]);
    let text =
        "id,s,v\n1,a,1.5\n2,\"\",NaN\n3,,\n4,\"x, \"\"y\"\"\",-inf\n5,\"line\nbreak\",1e300\n6, ,-0.0\n";
    assert_eq!(fs::read_to_string(at.join("out.csv")).unwrap(), text);
    let again = ok(at, &["sql", "--table", "t=out.csv", "--format", "csv", "-q", "SELECT * FROM t"]);
    assert_eq!(again.stdout, text);

    // One column: NULL is a blank line.
    let rows = "SELECT * FROM (VALUES ('a'), (NULL), (''), ('b')) AS t(s)";
    ok(at, &["sql", "--format", "csv", "--out", "one.csv", "-q", rows]);
    let count = "SELECT count(*), count(s), min(s) IS NOT DISTINCT FROM '' FROM t";
    let again = ok(at, &["sql", "--table", "t=one.csv", "--format", "csv", "-q", count]);
    assert_eq!(again.stdout.lines().nth(1), Some("4,3,true"));
}

#[tokio::test]
async fn marks_comments_and_line_ends_are_read() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("t.csv");
    for (text, rows) in [
        ("\u{feff}a,b\n1,2\n", vec!["1,2"]),
        ("\u{feff}\"a\",b\n1,2", vec!["1,2"]),
        ("a,b\r\n1,2\r\n\r\n3,4\r\n", vec!["1,2", "3,4"]),
        ("a,b\r1,2\r3,4", vec!["1,2", "3,4"]),
        ("a,b\n1,\"\"\n\"2\",\n", vec!["1,NULL", "2,NULL"]),
        ("a,b\n1,x\"y\"\n2,\"x\"y\n", vec!["1,\"x\"\"y\"\"\"", "2,xy"]),
    ] {
        fs::write(&file, text).unwrap();
        let session = session(3).await;
        session.register_files("t", &file.to_string_lossy()).await.unwrap();
        let found =
            query(&session, "SELECT a, nullif(CAST(b AS VARCHAR), '') FROM t ORDER BY a").await.unwrap();
        assert_eq!(found, rows, "{text:?}");
    }
    fs::write(&file, "# it's a \"comment\na;b\n# more\n1;'x\\'y;'\n2;-\n").unwrap();
    let session = session(3).await;
    let create = format!(
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{}' OPTIONS ('format.comment' '#', 'format.delimiter' ';', \
         'format.quote' '''', 'format.escape' '\\', 'format.null_regex' '^-$', 'format.has_header' 'true'); \
         SELECT * FROM t ORDER BY a",
        file.display()
    );
    assert_eq!(query(&session, &create).await.unwrap(), ["1,x'y;", "2,NULL"]);
}

#[tokio::test]
async fn copy_and_insert_write_csv_that_is_read_back_as_it_was() {
    let folder = tempdir().unwrap();
    let at = folder.path().display();
    let session = session(2).await;
    let rows = "(VALUES (1, 'a;'), (2, ''), (3, NULL), (4, '\"x\"')) AS v(id, s)";
    let columns = "(id BIGINT, s VARCHAR) STORED AS CSV";
    let statements = format!(
        "COPY (SELECT * FROM {rows}) TO '{at}/copy.csv'; \
         COPY (SELECT * FROM {rows}) TO '{at}/other.csv' OPTIONS ('format.delimiter' ';', 'format.quote' ''''); \
         CREATE EXTERNAL TABLE t {columns} LOCATION '{at}/t/'; INSERT INTO t SELECT * FROM {rows}; \
         CREATE EXTERNAL TABLE c {columns} LOCATION '{at}/copy.csv'; \
         CREATE EXTERNAL TABLE o {columns} LOCATION '{at}/other.csv' OPTIONS ('format.delimiter' ';', 'format.quote' '''');"
    );
    fs::create_dir(folder.path().join("t")).unwrap();
    session.run_script(&statements).await.unwrap();
    let text = fs::read_to_string(folder.path().join("copy.csv")).unwrap();
    assert_eq!(text, "id,s\n1,a;\n2,\"\"\n3,\n4,\"\"\"x\"\"\"\n");
    let text = fs::read_to_string(folder.path().join("other.csv")).unwrap();
    assert_eq!(text, "id;s\n1;'a;'\n2;''\n3;\n4;\"x\"\n");
    for table in ["t", "c", "o"] {
        let rows =
            query(&session, &format!("SELECT id, s IS NULL, length(s) FROM {table} ORDER BY id")).await;
        assert_eq!(rows.unwrap(), ["1,false,2", "2,false,0", "3,true,NULL", "4,false,3"], "{table}");
    }
}

/// A value of a CSV file, and how it is written there.
fn values() -> impl Strategy<Value = (Option<String>, bool)> {
    prop_oneof![
        Just((None, false)),
        ("[a-z0-9 ,\"\n\réß€]{0,12}", any::<bool>()).prop_map(|(text, quoted)| (Some(text), quoted)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn any_records_are_read_with_any_number_of_threads(
        records in prop::collection::vec((values(), values()), 1..40),
        threads in 1usize..6,
        line_end in prop::sample::select(vec!["\n", "\r\n"]),
    ) {
        let write = |(text, quoted): &(Option<String>, bool)| match text {
            None => String::new(),
            Some(text) if *quoted || text.is_empty() || text.contains([',', '"', '\n', '\r']) => {
                format!("\"{}\"", text.replace('"', "\"\""))
            }
            Some(text) => text.clone(),
        };
        let mut file = format!("a,b,id{line_end}");
        for (id, (a, b)) in records.iter().enumerate() {
            write!(file, "{},{},{id}{line_end}", write(a), write(b)).unwrap();
        }
        let folder = tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs::write(&path, &file).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let found = runtime.block_on(async {
            let session = session(threads).await;
            open(&session, "declared", &path, "(a VARCHAR, b VARCHAR, id BIGINT)").await;
            session.sql("SELECT a, b FROM t ORDER BY id").await.unwrap().collect().await.unwrap()
        });
        let found: Vec<_> = found.iter().flat_map(|batch| {
            let text = |column: usize| arrow::compute::cast(batch.column(column), &arrow::datatypes::DataType::Utf8).unwrap();
            let (a, b) = (text(0), text(1));
            let values = |column: arrow::array::ArrayRef| {
                let column = arrow::array::AsArray::as_string::<i32>(&column).clone();
                column.iter().map(|value| value.map(str::to_owned)).collect::<Vec<_>>()
            };
            values(a).into_iter().zip(values(b)).collect::<Vec<_>>()
        }).collect();
        let expected: Vec<_> = records.into_iter().map(|((a, _), (b, _))| (a, b)).collect();
        prop_assert_eq!(found, expected, "{:?}", file);
    }
}
