//! Formats of files: by extension, by name or by the first bytes, also compressed; functions that read them, and folders.

use std::fmt::Write as _;
use std::fs;

use tempfile::tempdir;
use warpframe::io::{DataFormat, ReadOptions};

use super::common::{entries, expect_failure, ok, warpframe};
use super::{query, session};

const ROWS: &str = "SELECT * FROM (VALUES (1, 'a', 1.5, true), (2, NULL, NULL, false), (3, 'x, \"y\"', -2.0, NULL)) AS t(id, s, v, b)";

/// The extensions that are written and read.
const EXTENSIONS: [&str; 20] = [
    "parquet",
    "pq",
    "csv",
    "tsv",
    "tab",
    "json",
    "ndjson",
    "jsonl",
    "arrow",
    "ipc",
    "feather",
    "arrows",
    "avro",
    "csv.gz",
    "tsv.zst",
    "ndjson.bz2",
    "json.xz",
    "csv.bz2",
    "csv.xz",
    "ndjson.gz",
];

#[tokio::test]
async fn every_format_is_written_and_read_back_by_its_extension() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let expected = ["1,a,1.5,true", "2,NULL,NULL,false", "3,\"x, \"\"y\"\"\",-2.0,NULL"];
    let session = session(2).await;
    for extension in EXTENSIONS {
        let out = format!("t.{extension}");
        ok(at, &["sql", "--out", &out, ROWS]);
        let read = format!("SELECT * FROM '{}/{out}' ORDER BY id", at.display());
        assert_eq!(query(&session, &read).await.unwrap(), expected, "{extension}");
    }
    // The bytes are compressed indeed, each by its own algorithm.
    for (extension, magic) in [
        ("csv.gz", &b"\x1f\x8b"[..]),
        ("tsv.zst", b"\x28\xb5\x2f\xfd"),
        ("csv.bz2", b"BZh"),
        ("csv.xz", b"\xfd7zXZ"),
    ] {
        assert!(fs::read(at.join(format!("t.{extension}"))).unwrap().starts_with(magic), "{extension}");
    }
    // Projections, conditions and counts.
    for extension in ["json", "ndjson.gz", "avro", "arrows", "tsv.zst"] {
        let read = format!(
            "SELECT v, id FROM '{}/t.{extension}' WHERE b IS NULL OR v > 0 ORDER BY id",
            at.display()
        );
        assert_eq!(query(&session, &read).await.unwrap(), ["1.5,1", "-2.0,3"], "{extension}");
        let count = format!("SELECT count(*) FROM '{}/t.{extension}'", at.display());
        assert_eq!(query(&session, &count).await.unwrap(), ["3"], "{extension}");
    }
}

#[tokio::test]
async fn copy_and_create_take_format_and_compression_from_the_name() {
    let folder = tempdir().unwrap();
    let at = folder.path().display();
    let session = session(2).await;
    for (name, stored_as) in [
        ("c.csv.gz", "CSV"),
        ("c.tsv", "TSV"),
        ("c.ndjson.zst", "NDJSON"),
        ("c.jsonl", "JSONL"),
        ("c.json.xz", "JSON"),
        ("c.csv.bz2", "CSV"),
        ("c.feather", "ARROW"),
    ] {
        let statements = format!(
            "COPY (SELECT id, s, v FROM ({ROWS})) TO '{at}/{name}'; \
             CREATE EXTERNAL TABLE t STORED AS {stored_as} LOCATION '{at}/{name}'; SELECT id, v FROM t ORDER BY id"
        );
        assert_eq!(query(&session, &statements).await.unwrap(), ["1,1.5", "2,NULL", "3,-2.0"], "{name}");
        query(&session, "DROP TABLE t").await.unwrap();
        let read = format!("SELECT sum(id) FROM '{at}/{name}'");
        assert_eq!(query(&session, &read).await.unwrap(), ["6"], "{name}");
    }
    let error =
        query(&session, &format!("COPY ({ROWS}) TO '{at}/c.parquet.gz'")).await.unwrap_err().to_string();
    assert!(error.contains("only text is compressed as a whole"), "{error}");
    // Files of other formats in a folder say nothing about the compression.
    let statements = format!(
        "COPY (SELECT 1 AS id) TO '{at}/two/a.csv.gz'; COPY (SELECT 2 AS id) TO '{at}/two/b.tsv'; \
         CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{at}/two/'; SELECT * FROM t"
    );
    assert_eq!(query(&session, &statements).await.unwrap(), ["1"]);
    for name in ["c.avro", "c.arrows"] {
        let error =
            query(&session, &format!("COPY ({ROWS}) TO '{at}/{name}'")).await.unwrap_err().to_string();
        assert!(error.contains("COPY does not write"), "{error}");
    }
    assert_eq!(
        fs::read(folder.path().join("c.tsv")).unwrap(),
        b"id\ts\tv\n1\ta\t1.5\n2\t\t\n3\t\"x, \"\"y\"\"\"\t-2.0\n"
    );
}

#[tokio::test]
async fn rows_that_are_inserted_into_a_compressed_table_are_read() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let session = session(2).await;
    for (stored_as, first) in [("CSV", "a.csv.gz"), ("NDJSON", "a.ndjson.zst")] {
        let place = at.join(stored_as);
        fs::create_dir(&place).unwrap();
        let statements = format!(
            "COPY (SELECT 1 AS id) TO '{0}/{first}'; DROP TABLE IF EXISTS t; \
             CREATE EXTERNAL TABLE t (id BIGINT) STORED AS {stored_as} LOCATION '{0}/'; INSERT INTO t VALUES (2); \
             SELECT sum(id) FROM t",
            place.display()
        );
        assert_eq!(query(&session, &statements).await.unwrap(), ["3"], "{stored_as}");
        let read = format!("SELECT sum(id) FROM '{}'", place.display());
        assert_eq!(query(&session, &read).await.unwrap(), ["3"], "{stored_as}");
        let extension = first.split_once('.').unwrap().1;
        assert!(entries(&place).iter().all(|name| name.ends_with(extension)), "{:?}", entries(&place));
    }
}

#[tokio::test]
async fn a_folder_of_compressed_files_is_published() {
    let folder = tempdir().unwrap();
    let at = folder.path().join("out");
    let session = session(2).await;
    let copy = format!(
        "COPY (SELECT value AS id FROM generate_series(1, 10)) TO '{0}/' STORED AS CSV OPTIONS ('format.compression' 'gzip'); \
         SELECT sum(id) FROM '{0}'",
        at.display()
    );
    assert_eq!(query(&session, &copy).await.unwrap(), ["55"]);
    assert!(entries(&at).iter().all(|name| name.ends_with(".csv.gz")), "{:?}", entries(&at));
}

#[test]
fn a_file_without_an_extension_is_known_by_its_first_bytes() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for format in ["parquet", "arrow", "avro", "arrows", "csv.gz", "csv"] {
        ok(at, &["sql", "--out", &format!("t.{format}"), ROWS]);
        fs::rename(at.join(format!("t.{format}")), at.join(format!("data-{}", format.replace('.', "-"))))
            .unwrap();
    }
    for name in ["parquet", "arrow", "avro", "arrows"] {
        let sum = ok(at, &["sql", "--format", "csv", &format!("SELECT sum(id) AS s FROM 'data-{name}'")]);
        assert_eq!(sum.stdout, "s\n6\n", "{name}");
    }
    for function in ["read_csv('data-csv')", "read_csv('data-csv-gz')", "read_parquet(['data-parquet'])"] {
        let sum = ok(at, &["sql", "--format", "csv", &format!("SELECT sum(id) AS s FROM {function}")]);
        assert_eq!(sum.stdout, "s\n6\n", "{function}");
    }
    expect_failure(
        at,
        &["sql", "FROM 'data-csv'"],
        1,
        &["'data-csv' has none of the extensions .parquet", "read_csv('data-csv')"],
    );
    expect_failure(
        at,
        &["sql", "FROM 'data-csv-gz'"],
        1,
        &["is compressed (GZIP)", "read_csv('data-csv-gz')"],
    );
    expect_failure(at, &["sql", "FROM read_parquet('data-csv')"], 1, &["data-csv"]);
}

#[tokio::test]
async fn functions_read_files_with_options() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("a.txt"), "# by hand\n1|'x|y'|NA\n2|'it\\'s'|\n").unwrap();
    fs::write(at.join("b.csv"), "id,v\n1,10\n").unwrap();
    fs::write(at.join("c.csv"), "v,id\n20,2\n").unwrap();
    let session = session(2).await;
    let place = at.display();
    for operator in ["=>", ":=", "="] {
        let read = format!(
            "SELECT * FROM read_csv('{place}/a.txt', delim {operator} '|', quote {operator} '''', escape {operator} '\\', \
             comment {operator} '#', nullstr {operator} 'NA', header {operator} false)"
        );
        assert_eq!(query(&session, &read).await.unwrap(), ["1,x|y,NULL", "2,it's,NULL"], "{operator}");
    }
    let list = format!("SELECT id, v FROM READ_CSV(['{place}/c.csv', '{place}/b.csv']) ORDER BY id");
    assert_eq!(query(&session, &list).await.unwrap(), ["1,10", "2,20"]);
    let join = format!(
        "WITH w AS (SELECT * FROM read_csv('{place}/b.csv')) SELECT w.id, c.v FROM w \
         JOIN read_csv('{place}/c.csv', header => true) AS c ON w.id + 1 = c.id"
    );
    assert_eq!(query(&session, &join).await.unwrap(), ["1,20"]);
    let qualified = format!("SELECT b.id FROM read_csv('{place}/b.csv')");
    assert_eq!(query(&session, &qualified).await.unwrap(), ["1"]);
    for (call, words) in [
        ("read_csv('x.csv', colour => 'red')", "has no option 'colour': it has delim"),
        ("read_parquet('x.parquet', header => true)", "read_parquet has no option 'header'"),
        ("read_csv('x.csv', delim => 'ab')", "the delimiter is one ASCII character"),
        ("read_csv('x.csv', header => 'perhaps')", "true, false or 'detect', not 'perhaps'"),
        ("read_csv()", "takes a file name"),
        ("read_csv(1)", "name of a file in single quotes, not 1"),
        ("read_csv('a', 'b')", "takes a file name or a list"),
        ("read_json('none.json')", "there is no file or folder 'none.json'"),
    ] {
        let error = query(&session, &format!("SELECT * FROM {call}")).await.unwrap_err();
        let message = error.find_root().message().into_owned();
        assert!(message.contains(words), "{call}: {message}");
    }
    // The tables of a statement are gone after it.
    let tables =
        query(&session, "SELECT table_name FROM information_schema.tables WHERE table_name LIKE '%csv%'");
    assert!(tables.await.unwrap().is_empty());
}

#[tokio::test]
async fn several_names_are_one_table() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let path = |name: &str| at.join(name).to_string_lossy().into_owned();
    for (name, text) in
        [("2.csv", "id\n2\n"), ("1.csv", "id\n1\n"), ("3.csv", "id\n3\n"), ("4.tsv", "id\n4\n")]
    {
        fs::write(at.join(name), text).unwrap();
    }
    let session = session(1).await;
    let names = [path("2.csv"), path("[13].csv")];
    session.register_files_with("t", &names, &ReadOptions::default()).await.unwrap();
    // In the order of the names, those of a pattern in that of their paths.
    assert_eq!(query(&session, "SELECT id FROM t").await.unwrap(), ["2", "1", "3"]);
    for (names, words) in [
        (vec![path("1.csv"), path("*.csv")], "1.csv' is named twice"),
        (vec![path("1.csv"), path("4.tsv")], "4.tsv' is tsv: the files of a table have one format"),
        (vec![path("*sv")], "matches files of several kinds"),
    ] {
        let error = session.register_files_with("u", &names, &ReadOptions::default()).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    // A format that is named counts, whatever the extension is.
    fs::write(at.join("5.txt"), "id\n5\n").unwrap();
    let options = ReadOptions { format: Some(DataFormat::Csv), ..ReadOptions::default() };
    session.register_files_with("u", &[path("5.txt"), path("4.tsv")], &options).await.unwrap();
    assert_eq!(query(&session, "SELECT id FROM u").await.unwrap(), ["5", "4"]);
}

#[test]
fn a_folder_is_read_with_all_below_it_and_what_is_left_out_is_said() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (path, text) in [
        ("d/a.csv", "id\n1\n"),
        ("d/sub/deep/b.csv", "id\n2\n"),
        ("d/README.md", "text"),
        ("d/sub/notes.txt", "text"),
        ("d/_SUCCESS", ""),
        ("d/.tmp/c.csv", "id\n100\n"),
        ("p/m=1/x/c.csv", "id\n1\n"),
        ("p/m=2/d.csv", "id\n2\n"),
        ("mixed/a.csv", "id\n1\n"),
        ("mixed/b.json", "{\"id\":2}"),
        ("mixed/sub/c.ndjson", "{\"id\":3}"),
    ] {
        fs::create_dir_all(at.join(path).parent().unwrap()).unwrap();
        fs::write(at.join(path), text).unwrap();
    }
    let sum = |statements: &str| {
        let run = warpframe(at, &["sql", "--format", "csv", statements]);
        (run.stdout.lines().nth(1).unwrap_or_default().to_owned(), run.stderr)
    };
    for statements in [
        "SELECT sum(id) AS s FROM 'd'",
        "SELECT sum(id) AS s FROM read_csv('d')",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'd/'; SELECT sum(id) AS s FROM t",
    ] {
        let (found, notes) = sum(statements);
        assert_eq!(found, "3", "{statements}: {notes}");
        assert_eq!(notes.lines().count(), 1, "{statements}: {notes}");
        let words = ["read as csv, without 2 other files", "README.md", "notes.txt"];
        assert!(words.iter().all(|word| notes.contains(word)), "{statements}: {notes}");
    }
    // A pattern says what it means.
    assert_eq!(sum("SELECT sum(id) AS s FROM 'd/*.csv'"), ("1".to_owned(), String::new()));
    assert_eq!(sum("SELECT sum(id) AS s FROM 'd/**/*.csv'"), ("3".to_owned(), String::new()));
    let create = "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'd/*.csv'; SELECT sum(id) AS s FROM t";
    assert_eq!(sum(create), ("1".to_owned(), String::new()));
    assert_eq!(sum("SELECT sum(id * m) AS s FROM 'p'").0, "5");
    // Several formats: an error, unless one is chosen.
    expect_failure(
        at,
        &["sql", "FROM 'mixed'"],
        1,
        &["the folder 'mixed' has files of several formats", "1 .csv", "2 .json", "'mixed/**/*."],
    );
    let (found, notes) = sum("SELECT sum(id) AS s FROM read_json('mixed')");
    assert_eq!(found, "5");
    assert!(notes.contains("without 1 other file: mixed/a.csv"), "{notes}");
    assert_eq!(sum("SELECT sum(id) AS s FROM read_csv('mixed')").0, "1");
    expect_failure(
        at,
        &["sql", "FROM read_avro('mixed')"],
        1,
        &["no file with the extension .avro in the folder 'mixed'"],
    );
    assert_eq!(entries(&at.join("d")).len(), 5);
}

#[tokio::test]
async fn json_is_read_as_lines_or_as_an_array() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let read = |name: &str, what: &str| format!("SELECT {what} FROM '{}/{name}'", at.display());
    let (mut lines, mut items) = (String::new(), Vec::new());
    for id in 0..3000 {
        // A string with what would separate lines and objects.
        let object = format!("{{\"z\":{id},\"s\":\"}},{{ [\\n\\\"{id}\",\"list\":[{id},{id}.5]}}");
        writeln!(lines, "{object}").unwrap();
        items.push(object);
    }
    fs::write(at.join("lines.ndjson"), lines).unwrap();
    fs::write(at.join("array.json"), format!(" [\n{}\n]\n", items.join(",\n"))).unwrap();
    fs::write(
        at.join("pretty.json"),
        items.iter().map(|item| item.replace(",\"s\"", ",\n\"s\"")).collect::<String>(),
    )
    .unwrap();
    let expected = "3000,4498500,3000,6000,4498500.0";
    let what = "count(*), sum(z), count(DISTINCT s), sum(array_length(list)), sum(list[1])";
    for threads in [1, 2, 5, 64] {
        let session = session(threads).await;
        for name in ["lines.ndjson", "array.json", "pretty.json"] {
            assert_eq!(query(&session, &read(name, what)).await.unwrap(), [expected], "{name} {threads}");
            let plan = query(&session, &format!("EXPLAIN FORMAT INDENT {}", read(name, "z")))
                .await
                .unwrap()
                .join("\n");
            let is_split = plan.contains(&format!("{name}:0.."));
            assert_eq!(is_split, name == "lines.ndjson" && threads > 1, "{name} {threads}: {plan}");
        }
    }
    let session = session(2).await;
    fs::write(
        at.join("types.ndjson"),
        "{\"b\":1,\"a\":\"x\",\"n\":1,\"m\":1}\n{\"a\":null,\"b\":2.5,\"n\":\"NaN\",\"m\":\"y\",\"late\":{\"k\":[true]}}\n",
    )
    .unwrap();
    let rows = query(&session, &read("types.ndjson", "b, a, n, m, late['k'][1]")).await.unwrap();
    assert_eq!(rows, ["1.0,x,1.0,1,NULL", "2.5,NULL,NaN,y,true"]);
    let columns = query(&session, &format!("DESCRIBE '{}/types.ndjson'", at.display())).await.unwrap();
    let names: Vec<_> = columns.iter().map(|column| column.split(',').next().unwrap()).collect();
    assert_eq!(names, ["b", "a", "n", "m", "late"]);
    for (text, words) in [
        ("{\"a\":1}\n{\"a\":}\n", "line 2"),
        ("[{\"a\":1},", "the array is not closed"),
        ("[{\"a\":1}] x", "text behind the end of the array"),
        ("{\"a\":1}\n{\"a\":{\"b\":1}}\n", "'a' is"),
        ("1\n2\n", "expected an object"),
    ] {
        fs::write(at.join("bad.json"), text).unwrap();
        let error =
            query(&session, &read("bad.json", "*")).await.unwrap_err().find_root().message().into_owned();
        assert!(error.contains(words) && error.contains("bad.json"), "{text:?}: {error}");
    }
    // A value further behind that does not fit is an error that names the file.
    let create = format!(
        "CREATE EXTERNAL TABLE late (a INT) STORED AS JSON LOCATION '{0}/late.json'; SELECT * FROM late",
        at.display()
    );
    fs::write(at.join("late.json"), "{\"a\":1}\n{\"a\":\"x\"}\n").unwrap();
    let error = query(&session, &create).await.unwrap_err().find_root().message().into_owned();
    assert!(error.contains("late.json"), "{error}");
}

#[test]
fn names_of_unknown_formats_are_refused_before_anything_is_done() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    expect_failure(
        at,
        &["sql", "SELECT 1 AS a", "--out", "x.parquet.gz"],
        2,
        &["only text is compressed as a whole"],
    );
    expect_failure(at, &["sql", "SELECT 1 AS a", "--out", "x.gz"], 2, &["does not tell the format"]);
    // A failed query leaves no compressed output.
    expect_failure(at, &["sql", "SELECT sqrt(-1.0) AS a", "--out", "x.csv.gz"], 1, &["square root"]);
}
