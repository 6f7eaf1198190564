//! `warpframe run`: formats, several inputs, partition folders, streams, and errors that name the file.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use tempfile::tempdir;

use super::common::{Run, command, entries, expect_failure, finish, ok, skipped};

/// The rows of a table, as CSV without the header. They are in the order of the files.
fn rows(at: &Path, table: &str, select: &str) -> String {
    let table = format!("t={table}");
    let query = format!("SELECT {select} FROM t");
    let run = ok(at, &["sql", "--threads", "1", "--table", &table, "--format", "csv", "-q", &query]);
    run.stdout.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default()
}

/// Runs the command with this standard input.
fn with_input(at: &Path, arguments: &[&str], input: &[u8]) -> Run {
    let mut command = command(at);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // A command that fails does not read to the end.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    finish(output)
}

/// The first numbers, each on a line.
fn numbers(range: std::ops::Range<u64>) -> String {
    range.map(|number| format!("{number}\n")).collect()
}

#[test]
fn every_format_is_written_and_read_in_the_order_of_the_rows() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "20000", "--files", "3", "--out", "in"]);
    let select = "id, x, CASE WHEN id % 3 = 0 THEN NULL ELSE concat('a,', id) END AS s";
    let expected = rows(at, "in", select);
    assert_eq!(expected.lines().count(), 20_000);
    assert!(expected.starts_with("0,1.0,\n1,2.0,\"a,1\"\n"), "{}", &expected[..40]);
    for name in
        ["b.csv", "b.tsv", "b.ndjson", "b.json", "b.arrow", "b.arrows", "b.avro", "b.csv.gz", "b.json.zst"]
    {
        for threads in ["1", "3"] {
            let run =
                ["run", "--in", "in", "--select", select, "--out", name, "--overwrite", "--threads", threads];
            let written = ok(at, &run);
            assert_eq!(written.stdout, "");
            assert!(
                written.stderr.contains("20,000 rows") && written.stderr.contains("1 file in"),
                "{written:?}"
            );
            assert!(at.join(name).is_file(), "{name}");
            assert!(rows(at, name, "*") == expected, "{name} by {threads} threads");
        }
        let back = [
            "run",
            "--in",
            name,
            "--select",
            "id",
            "--where",
            "s IS NULL",
            "--out",
            "back.parquet",
            "--overwrite",
        ];
        ok(at, &back);
        let nulls: String = (0..20_000).step_by(3).map(|id| format!("{id}\n")).collect();
        assert!(rows(at, "back.parquet", "*") == nulls, "{name}");
    }
    // Files that are joined have one header and one array.
    let csv = fs::read_to_string(at.join("b.csv")).unwrap();
    assert_eq!(csv.lines().filter(|line| *line == "id,x,s").count(), 1);
    let json: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(at.join("b.json")).unwrap()).unwrap();
    assert!(json.len() == 20_000 && json[19_999]["id"] == 19_999 && json[3]["s"].is_null());
    // A folder has a file for each thread, and none without rows.
    let run =
        ["run", "--in", "in", "--select", "id", "--out", "parts", "--out-format", "csv", "--threads", "3"];
    ok(at, &run);
    let parts = entries(&at.join("parts"));
    assert!(parts.len() == 3 && parts.iter().all(|part| part.ends_with(".csv")), "{parts:?}");
    assert!(rows(at, "parts", "*") == numbers(0..20_000));
    let empty = ["run", "--in", "b.csv", "--select", "id, s", "--where", "id < 0", "--out", "none.csv"];
    ok(at, &empty);
    assert_eq!(fs::read_to_string(at.join("none.csv")).unwrap(), "id,s\n");
    // The input can have other names and another syntax.
    fs::write(at.join("semicolons.txt"), "1;x\n2;?\n").unwrap();
    let arguments = [
        "run",
        "--in",
        "semicolons.txt",
        "--in-format",
        "csv",
        "--csv-delimiter",
        ";",
        "--csv-header",
        "no",
        "--csv-null",
        "?",
        "--select",
        "-column_1 AS n, column_2 AS s",
        "--out",
        "plain.csv",
    ];
    ok(at, &arguments);
    assert_eq!(fs::read_to_string(at.join("plain.csv")).unwrap(), "n,s\n-1,x\n-2,\n");
}

#[test]
fn names_and_formats_that_contradict_each_other_are_wrong_usage() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("in.csv"), "a\n1\n").unwrap();
    for (more, words) in [
        (&["--out", "b.csv", "--out-format", "parquet"][..], &["is parquet", "'b.csv' means csv"][..]),
        (&["--out", "b.xlsx"], &["'b.xlsx' does not tell the format", ".parquet", ".ndjson"]),
        (&["--out", "b.parquet.gz"], &["does not tell the format"]),
        (&["--out", "b.csv", "--partition-by", "a"], &["divided into folders", "name a folder"]),
        (&["--out", "-"], &["standard output is not known", "--out-format"]),
        (&["--out", "-", "--out-format", "csv", "--partition-by", "a"], &["needs a folder"]),
        (&["--out", "b", "--out-format", "excel"], &["no format 'excel'", "parquet, csv"]),
    ] {
        expect_failure(at, &[&["run", "--in", "in.csv", "--select", "a"], more].concat(), 2, words);
    }
    let json = ["run", "--in", "in.csv", "--select", "a, a + 1 AS a2", "--out", "b"];
    expect_failure(at, &[&json[..], &["--partition-by", "b"]].concat(), 1, &["partition by 'b'", "a, a2"]);
    expect_failure(at, &[&json[..], &["--partition-by", "a,A2"]].concat(), 1, &["all columns"]);
    let run = ["run", "--in", "in.csv", "--in-format", "parquet", "--select", "a", "--out", "b"];
    expect_failure(at, &run, 1, &["cannot read as Parquet 'in.csv'"]);
}

#[test]
fn several_inputs_are_read_in_their_order_and_have_the_same_columns() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (name, first) in [("b.parquet", 0), ("a.parquet", 10), ("d/c.parquet", 20)] {
        fs::create_dir_all(at.join("d")).unwrap();
        let copy = format!("COPY (SELECT id + {first} AS id FROM generate_rows(10)) TO '{name}'");
        ok(at, &["sql", "-q", &copy]);
    }
    let out = ["--select", "id", "--out", "out.csv", "--overwrite"];
    for inputs in [
        &["--in", "b.parquet", "--in", "a.parquet", "--in", "d"][..],
        &["--in", "b.parquet", "a.parquet", "d/*.parquet"],
    ] {
        ok(at, &[&["run"], inputs, &out].concat());
        assert_eq!(fs::read_to_string(at.join("out.csv")).unwrap(), format!("id\n{}", numbers(0..30)));
    }
    ok(
        at,
        &[
            "sql",
            "-q",
            "COPY (SELECT 1 AS id, 2 AS y) TO 'e.parquet'; COPY (SELECT 'x' AS id) TO 'f.parquet'",
        ],
    );
    fs::write(at.join("g.csv"), "id\n1\n").unwrap();
    fs::write(at.join("h.csv"), "id,z\n1,2\n").unwrap();
    for (inputs, words) in [
        (["b.parquet", "e.parquet"], &["different columns", "column 2", "y Int64 in 'e.parquet'"][..]),
        (["b.parquet", "f.parquet"], &["different columns", "column 1", "'b.parquet'", "'f.parquet'"]),
        (["b.parquet", "g.csv"], &["'b.parquet' is parquet", "'g.csv' is csv"]),
        (["g.csv", "h.csv"], &["different columns", "h.csv", "z"]),
        (["b.parquet", "none.parquet"], &["none.parquet"]),
    ] {
        let run = [&["run", "--in"], &inputs[..], &["--select", "id", "--out", "no"]].concat();
        expect_failure(at, &run, 1, words);
    }
}

#[test]
fn rows_are_divided_into_partition_folders() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "30000", "--files", "3", "--out", "in"]);
    let run = |select: &str, columns: &str, out: &str, more: &[&str]| {
        let run = ["run", "--in", "in", "--select", select, "--partition-by", columns, "--out", out];
        ok(at, &[&run[..], more].concat())
    };
    run("id, id % 3 AS m", "m", "out", &["--threads", "3"]);
    assert_eq!(entries(&at.join("out")), ["m=0", "m=1", "m=2"]);
    assert_eq!(entries(&at.join("out/m=1")).len(), 3);
    let of_1: String = (1..30_000).step_by(3).map(|id| format!("{id},1\n")).collect();
    assert!(
        rows(at, "out", "*").split_inclusive('\n').filter(|row| row.ends_with(",1\n")).collect::<String>()
            == of_1
    );
    // The files do not have the column.
    let file = format!("out/m=1/{}", entries(&at.join("out/m=1"))[0]);
    let copied = fs::copy(at.join(file), at.join("alone.parquet"));
    assert!(copied.is_ok() && rows(at, "alone.parquet", "*").starts_with("1\n4\n"));

    // Values become names as those of COPY, in any format, and are replaced as other outputs are.
    let select = "CASE id % 2 WHEN 0 THEN 'a/b=c%' ELSE '' END AS s, id, id < 4 AS \"B\"";
    for more in [&["--out-format", "csv"][..], &["--out-format", "csv", "--overwrite"]] {
        run(select, "s,b", "texts", &[more, &["--threads", "2"]].concat());
        assert_eq!(entries(&at.join("texts")), ["s=", "s=a%2Fb=c%25"]);
        assert_eq!(entries(&at.join("texts/s=")), ["B=false", "B=true"]);
    }
    let found = rows(at, "texts", "s, id, \"B\"");
    let mut found: Vec<_> = found.lines().filter(|row| row.ends_with("true")).collect();
    found.sort_unstable();
    assert_eq!(found, ["\"\",1,true", "\"\",3,true", "a/b=c%,0,true", "a/b=c%,2,true"]);

    // More folders than files that are open at the same time.
    run("id, (id * 7919) % 900 AS m", "m", "many", &["--threads", "3", "--out-format", "csv"]);
    assert_eq!(entries(&at.join("many")).len(), 900);
    let counted = rows(at, "many", "count(*), count(DISTINCT m), sum(id), min(id), max(id)");
    assert_eq!(counted, "30000,900,449985000,0,29999\n");
    let of_5 = rows(at, "many/m=5", "id");
    let ids: Vec<u64> = of_5.lines().map(|id| id.parse().unwrap()).collect();
    assert!(ids.is_sorted() && ids.len() > 30 && ids.iter().all(|id| id * 7919 % 900 == 5), "{ids:?}");

    // NULL is an error, and nothing is left. Without rows there is one file with all columns.
    let nulls =
        ["run", "--in", "in", "--select", "id, nullif(id, 20000) AS p", "--partition-by", "p", "--out", "no"];
    expect_failure(at, &nulls, 1, &["'p' is NULL in a row", "coalesce(p, ...)"]);
    let empty = [
        "run",
        "--in",
        "in",
        "--select",
        "id, x",
        "--where",
        "id < 0",
        "--partition-by",
        "x",
        "--out",
        "empty",
    ];
    ok(at, &empty);
    let described =
        ok(at, &["sql", "--format", "csv", "-q", "SELECT count(*) AS n, count(x) AS x FROM 'empty'"]);
    assert_eq!(described.stdout, "n,x\n0,0\n");
}

#[test]
fn the_standard_input_is_read_as_it_comes() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let csv = format!("n\n{}", numbers(0..100_000));
    let run = |format: &str, input: &[u8]| {
        let run = ["run", "--in", "-", "--in-format", format, "--select", "n * 2 AS n", "--where", "n >= 3"];
        with_input(at, &[&run[..], &["--out", "-", "--out-format", "csv"]].concat(), input)
    };
    let doubled: String = (3..100_000).map(|n| format!("{}\n", n * 2)).collect();
    let written = run("csv", csv.as_bytes());
    assert!(written.code == Some(0) && written.stdout == format!("n\n{doubled}"), "{}", written.stderr);
    assert!(written.stderr.contains("99,997 rows"), "{}", written.stderr);
    let ndjson: String = (0..10).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    assert_eq!(run("ndjson", ndjson.as_bytes()).stdout, "n\n6\n8\n10\n12\n14\n16\n18\n");
    fs::write(at.join("in.csv"), &csv).unwrap();
    for (format, name) in [("arrows", "in.arrows"), ("csv", "in.csv.gz"), ("tsv", "in.tsv.zst")] {
        ok(at, &["run", "--in", "in.csv", "--select", "n", "--out", name]);
        let written = run(format, &fs::read(at.join(name)).unwrap());
        assert!(
            written.code == Some(0) && written.stdout == format!("n\n{doubled}"),
            "{name} {}",
            written.stderr
        );
    }
    // A first row is handed on before the last one has come.
    let mut reading = command(at);
    reading.args([
        "run",
        "--in",
        "-",
        "--in-format",
        "csv",
        "--select",
        "n",
        "--out",
        "-",
        "--out-format",
        "csv",
    ]);
    let mut reading =
        reading.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = reading.stdin.take().unwrap();
    let (first, rest) = (numbers(0..100), numbers(100..8_000_000));
    let feeding = std::thread::spawn(move || {
        stdin.write_all(format!("n\n{first}").as_bytes())?;
        stdin.write_all(rest.as_bytes())?;
        // Ends only when the process does.
        std::io::copy(&mut std::io::repeat(b'\n').take(u64::MAX), &mut stdin)
    });
    let mut begin = [0; 6];
    reading.stdout.as_mut().unwrap().read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"n\n0\n1\n");
    reading.kill().unwrap();
    reading.wait().unwrap();
    assert!(feeding.join().unwrap().is_err());

    for (format, input, words) in [
        ("parquet", &b"PAR1"[..], &["'standard input' is a pipe", "write it to a file first"][..]),
        ("csv", b"n\n1\nx,2\n", &["cannot read 'standard input': line 3"]),
        ("ndjson", b"{\"n\":1}\n{\"n\":\n", &["standard input"]),
        ("csv", b"", &["it is empty"]),
    ] {
        let failed = run(format, input);
        assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""), "{failed:?}");
        let sentence = words.iter().all(|word| failed.stderr.contains(word));
        assert!(sentence && failed.stderr.lines().count() == 1, "{}", failed.stderr);
    }
    // `sql` reads it, too; without the name of a format it is known by its first bytes.
    let arrows = fs::read(at.join("in.arrows")).unwrap();
    let sum = "SELECT sum(n) AS s FROM t";
    let table = with_input(at, &["sql", "--table", "t=-", "--format", "csv", "-q", sum], &arrows);
    assert_eq!(table.stdout, "s\n4999950000\n", "{}", table.stderr);
    let twice = "SELECT count(*) FROM '/dev/stdin' AS a JOIN '/dev/stdin' AS b ON a.n = b.n";
    let twice = with_input(at, &["sql", "-q", twice], &arrows);
    assert!(twice.code == Some(1) && twice.stderr.contains("read only once"), "{twice:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_redirected_file_is_read_as_a_file() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "1000", "--out", "in.parquet"]);
    let mut run = command(at);
    run.args(["run", "--in", "-", "--select", "id", "--out", "-", "--out-format", "csv"]);
    let run = finish(run.stdin(File::open(at.join("in.parquet")).unwrap()).output().unwrap());
    assert_eq!(run.stdout, format!("id\n{}", numbers(0..1000)), "{}", run.stderr);
}

#[test]
fn streams_get_data_only_and_may_close_early() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "300000", "--files", "3", "--out", "in"]);
    let run = |out: &str, format: &str| {
        let mut run = command(at);
        run.args(["run", "--in", "in", "--select", "id, x", "--threads", "3"]);
        run.args(["--out", out, "--out-format", format]);
        run
    };
    for format in ["parquet", "arrows", "arrow", "csv", "json"] {
        let written = run("-", format).output().unwrap();
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        let name = format!("b.{}", format.replace("arrows", "arrow"));
        let name = if format.starts_with("arrow") { "b.arrows".to_owned() } else { name };
        fs::write(at.join(&name), written.stdout).unwrap();
        assert!(rows(at, &name, "id") == numbers(0..300_000), "{format}");
    }
    for format in ["csv", "ndjson", "arrows"] {
        let mut child = run("-", format).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut begin = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut begin).unwrap();
        let ended = finish(child.wait_with_output().unwrap());
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{format}");
    }
    #[cfg(unix)]
    {
        let fifo = at.join("fifo.csv");
        if !std::process::Command::new("mkfifo").arg(&fifo).status().is_ok_and(|made| made.success()) {
            return skipped("there is no mkfifo");
        }
        let again = fifo.clone();
        let reading = std::thread::spawn(move || fs::read_to_string(fifo).unwrap());
        ok(at, &["run", "--in", "in", "--select", "id", "--out", "fifo.csv"]);
        let text = reading.join().unwrap();
        assert_eq!(text.lines().count(), 300_001);
        let writing = std::thread::spawn(move || fs::write(again, text).unwrap());
        let sum = ok(at, &["sql", "--format", "csv", "-q", "SELECT sum(id) AS s FROM 'fifo.csv'"]);
        assert_eq!(sum.stdout, "s\n44999850000\n");
        writing.join().unwrap();
    }
}

#[test]
fn errors_in_the_middle_name_the_file() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let files = ["--files", "6", "--out", "in"];
    ok(at, &[&["generate", "--rows", "600000", "--compression", "zstd"], &files[..]].concat());
    let damaged = entries(&at.join("in"))[3].clone();
    let path = at.join("in").join(&damaged);
    // Not the footer, which is read before.
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 2000].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let name = format!("cannot read 'in/{damaged}'");
    for out in ["out", "out.csv"] {
        let run = ["run", "--in", "in", "--select", "x + y AS s, z", "--out", out, "--threads", "2"];
        let failed = expect_failure(at, &run, 1, &[&name]);
        assert_eq!(failed.stderr.lines().count(), 1, "{}", failed.stderr);
    }
    expect_failure(at, &["sql", "-q", "SELECT sum(x), sum(y), sum(z) FROM 'in'"], 1, &[&name]);
    expect_failure(
        at,
        &["sql", "-q", "SELECT sum(x), sum(y), sum(z) FROM 'in'", "--out", "b.csv"],
        1,
        &[&name],
    );

    // A truncated compressed file, behind what is looked at to find the columns.
    let text: String = (0..200_000).map(|n| format!("{n},{}\n", n * 7919 % 10_007)).collect();
    fs::write(at.join("ok.csv"), format!("a,b\n{text}")).unwrap();
    ok(at, &["run", "--in", "ok.csv", "--select", "a, b", "--out", "short.csv.gz"]);
    let whole = fs::read(at.join("short.csv.gz")).unwrap();
    fs::write(at.join("short.csv.gz"), &whole[..whole.len() - 100]).unwrap();
    let read = |input: &str, words: &[&str]| {
        let failed = expect_failure(
            at,
            &["run", "--in", input, "--select", "a + b AS s", "--out", "no.csv"],
            1,
            words,
        );
        assert_eq!(failed.stderr.lines().count(), 1, "{}", failed.stderr);
        expect_failure(at, &["sql", "-q", &format!("SELECT sum(a), sum(b) FROM '{input}'")], 1, words);
    };
    read("short.csv.gz", &["cannot read '", "short.csv.gz'"]);
    fs::create_dir(at.join("lines")).unwrap();
    fs::write(at.join("lines/1.csv"), "a,b\n1,2\n").unwrap();
    fs::write(at.join("lines/2.csv"), "a,b\n1,2\n3,4,5\n").unwrap();
    read("lines", &["cannot read '", "lines/2.csv': line 3"]);
    fs::write(at.join("bad.ndjson"), "{\"a\":1,\"b\":2}\n{\"a\":1,\"b\":}\n").unwrap();
    read("bad.ndjson", &["bad.ndjson"]);
}
