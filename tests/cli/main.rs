//! The command line: output, files and error messages.

mod coming_from;
#[path = "../common/mod.rs"]
mod common;
mod errors;
mod explain;
mod output;
#[cfg(unix)]
mod progress;
mod release;
mod run;
#[cfg(unix)]
mod shell;
#[cfg(unix)]
mod shell_pager;
mod statements;
mod summaries;
mod table_changes;

use std::path::Path;

use common::{command, entries, expect_failure, finish, ok, warpframe};
use tempfile::tempdir;

#[test]
fn sql_prints_data_on_stdout_and_nothing_else() {
    let folder = tempdir().unwrap();
    let run = ok(folder.path(), &["sql", "-q", "SELECT id, log3(x,y,z) AS r FROM rows ORDER BY id LIMIT 2"]);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{}", run.stdout);
    assert!(lines[1].starts_with("| id |  "), "{}", run.stdout);
    assert!(lines[3].ends_with(" 0.0 |"), "{}", run.stdout);
    assert!(lines[4].starts_with("|  1 | 0.33302465198892"), "{}", run.stdout);
    assert_eq!(run.stderr, "");
}

#[test]
fn sql_prints_csv_ndjson_and_tables() {
    let folder = tempdir().unwrap();
    let query = "SELECT id, CASE WHEN id = 1 THEN NULL ELSE x END AS x FROM generate_rows(3) ORDER BY id";
    let csv = ok(folder.path(), &["sql", "-q", query, "--format", "csv"]);
    assert_eq!(csv.stdout, "id,x\n0,1.0\n1,\n2,3.0\n");
    let json = ok(folder.path(), &["sql", "-q", query, "--format", "ndjson"]);
    assert_eq!(json.stdout, "{\"id\":0,\"x\":1.0}\n{\"id\":1,\"x\":null}\n{\"id\":2,\"x\":3.0}\n");
    let table = ok(folder.path(), &["sql", "-q", query]);
    assert!(table.stdout.contains("|  1 | NULL |"), "{}", table.stdout);

    // The header is written even if there are no rows.
    let none = "SELECT id FROM generate_rows(3) WHERE id > 5";
    assert_eq!(ok(folder.path(), &["sql", "-q", none, "--format", "csv"]).stdout, "id\n");
    assert_eq!(ok(folder.path(), &["sql", "-q", none]).stdout, "+----+\n| id |\n+----+\n+----+\n");
}

#[test]
fn sql_writes_files_and_reads_them_as_tables() {
    let folder = tempdir().unwrap();
    let query = "SELECT id, x FROM generate_rows(1000)";
    for (format, name) in [("parquet", "t.parquet"), ("csv", "t.csv")] {
        let run = ok(folder.path(), &["sql", "-q", query, "--format", format, "--out", name]);
        assert_eq!(run.stdout, "");
        let table = format!("t={name}");
        let count = "SELECT count(*) AS n, sum(x) AS s FROM t";
        let run = ok(folder.path(), &["sql", "--table", &table, "-q", count, "--format", "csv"]);
        assert_eq!(run.stdout, "n,s\n1000,500500.0\n");
        expect_failure(
            folder.path(),
            &["sql", "-q", query, "--format", format, "--out", name],
            1,
            &["exists already"],
        );
        ok(folder.path(), &["sql", "-q", query, "--format", format, "--out", name, "--overwrite"]);
    }
    assert_eq!(entries(folder.path()), ["t.csv", "t.parquet"]);
}

#[test]
fn sql_reads_folders_globs_and_arrow_files() {
    let folder = tempdir().unwrap();
    ok(folder.path(), &["generate", "--rows", "3000", "--files", "3", "--out", "data"]);
    for table in ["t=data", "t=data/*.parquet", "t=data/part-0000[0-2]-*.parquet"] {
        let run =
            ok(folder.path(), &["sql", "--table", table, "-q", "SELECT count(*) FROM t", "--format", "csv"]);
        assert_eq!(run.stdout, "count(*)\n3000\n");
    }
    let schema = std::sync::Arc::new(arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new(
        "a",
        arrow::datatypes::DataType::Int32,
        false,
    )]));
    let column = std::sync::Arc::new(arrow::array::Int32Array::from(vec![1, 2, 3]));
    let batch = arrow::array::RecordBatch::try_new(std::sync::Arc::clone(&schema), vec![column]).unwrap();
    let file = std::fs::File::create(folder.path().join("t.arrow")).unwrap();
    let mut writer = arrow::ipc::writer::FileWriter::try_new(file, &schema).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let run = ok(
        folder.path(),
        &["sql", "--table", "t=t.arrow", "-q", "SELECT sum(a) AS s FROM t", "--format", "csv"],
    );
    assert_eq!(run.stdout, "s\n6\n");
}

#[test]
fn sql_takes_several_statements_from_text_file_and_stdin() {
    let folder = tempdir().unwrap();
    let text = "CREATE VIEW v AS SELECT x FROM generate_rows(4);\nSELECT sum(x) AS s FROM v;\n";
    std::fs::write(folder.path().join("q.sql"), text).unwrap();
    let expected = "s\n10.0\n";
    assert_eq!(ok(folder.path(), &["sql", "-q", text, "--format", "csv"]).stdout, expected);
    assert_eq!(ok(folder.path(), &["sql", "-f", "q.sql", "--format", "csv"]).stdout, expected);
    let input = std::fs::File::open(folder.path().join("q.sql")).unwrap();
    let output = command(folder.path()).args(["sql", "--format", "csv"]).stdin(input).output().unwrap();
    assert_eq!(finish(output).stdout, expected);
}

#[test]
fn every_example_query_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        let run = ok(&folder, &["sql", "-f", &file.to_string_lossy()]);
        assert!(run.stdout.contains('+'), "{} printed nothing", file.display());
        seen += 1;
    }
    assert!(seen >= 4);
}

#[test]
fn explain_shows_the_backend_and_explain_analyze_metrics() {
    let folder = tempdir().unwrap();
    let simd = command(folder.path())
        .env("WARPFRAME_SIMD", "portable")
        .args(["sql", "-q", "EXPLAIN SELECT log3(x,y,z) FROM rows"])
        .output()
        .unwrap();
    assert!(finish(simd).stdout.contains("log3[simd portable"));
    let analyze = "SET warpframe.backend = 'interpreted'; EXPLAIN ANALYZE SELECT log3(x,y,z) AS r FROM generate_rows(1000)";
    let run = ok(folder.path(), &["sql", "-q", analyze]);
    for word in ["log3[interpreted](", "| 1000 |"] {
        assert!(run.stdout.contains(word), "'{word}' is not in:\n{}", run.stdout);
    }
}

#[test]
fn sql_errors_have_a_message_and_a_position() {
    let folder = tempdir().unwrap();
    let sql = |query: &str, words: &[&str]| {
        expect_failure(folder.path(), &["sql", "-q", query], 1, words);
    };
    sql("SELEC 1", &["SELEC", "line 1, column 1"]);
    sql("SELECT log3(x,y,z)\nFROM rows WHERE", &["line 2"]);
    sql("SELECT log3(x,y,w) FROM rows", &["no column 'w'", "id, x, y, z", "line 1, column 17"]);
    sql("SELECT log3(1, 2)", &["log3 takes 3 arguments (x, y, z), not 2"]);
    sql("SELECT log3('a', 2, 3)", &["log3 takes numbers, but its argument x is Utf8"]);
    sql("SELECT nonsense(1)", &["nonsense"]);
    sql("SELECT * FROM nowhere", &["nowhere"]);
    sql("SET warpframe.backend = 'abacus'", &["no backend 'abacus'", "auto, interpreted, simd"]);
    sql("SELECT * FROM generate_rows(1e30)", &["whole number of rows"]);
}

#[test]
fn errors_name_invalid_tables() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("junk.parquet"), "this is not Parquet, not at all").unwrap();
    std::fs::write(at.join("notes.txt"), "text").unwrap();
    std::fs::create_dir(at.join("empty")).unwrap();
    let table = |table: &str, code: i32, words: &[&str]| {
        expect_failure(at, &["sql", "--table", table, "-q", "SELECT 1"], code, words);
    };
    table("t=missing.parquet", 1, &["no file or folder 'missing.parquet'"]);
    table("t=*.csv", 1, &["no file matches '*.csv'"]);
    table("t=empty", 1, &["no file with the extension", "'empty'"]);
    table("t=junk.parquet", 1, &["cannot read as Parquet 'junk.parquet'"]);
    table("t=notes.txt", 1, &["'notes.txt' has none of the extensions"]);
    table("t=ftp://host/file.csv", 1, &["'ftp://host/file.csv'", "use a path, or s3://BUCKET/PATH"]);
    table("missing.parquet", 1, &["no file or folder 'missing.parquet'"]);
    table("missing/*.parquet", 2, &["NAME=missing/*.parquet"]);
    table("t=", 2, &["NAME=PATH"]);
}

#[test]
fn invalid_options_are_usage_errors() {
    let folder = tempdir().unwrap();
    let usage = |arguments: &[&str], words: &[&str]| {
        expect_failure(folder.path(), arguments, 2, words);
    };
    usage(&["compare", "--rows", "1e30"], &["whole number of rows from 1 to 9007199254740992"]);
    usage(&["compare", "--rows=-5"], &["whole number of rows"]);
    usage(&["compare", "--rows", "0"], &["whole number of rows from 1"]);
    usage(
        &["compare", "--modes", "parallel,warp"],
        &[
            "no mode 'warp'",
            "interpreted, columnar, vectorized, parallel, rayon, cuda, cuda-resident, cluster-threads-1",
        ],
    );
    usage(&["compare", "--source", "tape"], &["no source 'tape'", "memory, parquet"]);
    usage(&["compare", "--result", "fame"], &["no result 'fame'", "collect, sum, parquet"]);
    usage(&["compare", "--distribution", "normal"], &["no distribution 'normal'", "sequence or uniform"]);
    usage(&["compare", "--repeat", "0"], &["whole number from 1"]);
    usage(&["compare", "--threads", "0"], &["whole number from 1 to"]);
    usage(
        &["generate", "--rows", "5", "--out", "x", "--compression", "zip"],
        &["no compression 'zip'", "none, snappy, lz4, zstd"],
    );
    usage(&["run", "--in", "x", "--select", "x", "--out", "y", "--memory-limit", "lots"], &["512MiB"]);
    usage(&["sql", "SELECT 1", "--out", "x.csv", "--format", "parquet"], &["parquet", "'x.csv' means csv"]);
    usage(&["sql", "SELECT 1", "--out", "x"], &["'x' does not tell the format", "--format"]);
    usage(&["sql", "SELECT 1", "--out", "x.parquet.gz"], &["only text is compressed as a whole"]);
    usage(&["sql", "SELECT 1", "--max-rows", "0"], &["whole number from 1", "all"]);
    usage(&["nonsense"], &["nonsense"]);
    let forced = command(folder.path()).env("WARPFRAME_SIMD", "mmx").arg("devices").output().unwrap();
    let forced = finish(forced);
    assert_eq!(forced.code, Some(2));
    assert!(forced.stderr.contains("no SIMD path 'mmx' (WARPFRAME_SIMD)"), "{}", forced.stderr);
    expect_failure(folder.path(), &["compare", "--rows", "9007199254740992"], 1, &["GiB of memory"]);
}

#[test]
fn devices_shows_the_cpu_and_the_active_simd_path() {
    let folder = tempdir().unwrap();
    let run = ok(folder.path(), &["devices"]);
    for word in ["CPU ", "cores ", "SIMD ", "memory ", "portable"] {
        assert!(run.stdout.contains(word), "{}", run.stdout);
    }
    let forced = command(folder.path()).env("WARPFRAME_SIMD", "portable").arg("devices").output().unwrap();
    assert!(finish(forced).stdout.contains("SIMD    portable of "));
}

#[test]
fn a_closed_output_pipe_is_not_an_error() {
    let folder = tempdir().unwrap();
    for format in ["csv", "ndjson", "table"] {
        let mut child = command(folder.path())
            .args(["sql", "-q", "SELECT * FROM rows", "--format", format])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let run = finish(child.wait_with_output().unwrap());
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{format}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_failed_write_to_stdout_is_an_error() {
    let folder = tempdir().unwrap();
    for format in ["csv", "ndjson", "table"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let arguments = ["sql", "-q", "SELECT * FROM rows", "--format", format];
        let run = finish(command(folder.path()).args(arguments).stdout(full).output().unwrap());
        assert_eq!(run.code, Some(1), "{format}: {run:#?}");
        assert_eq!(run.stderr, "error: No space left on device (os error 28)\n", "{format}");
    }
}

#[test]
fn a_query_error_that_mentions_an_os_error_is_not_an_output_error() {
    let folder = tempdir().unwrap();
    let query = "SELECT CAST(concat('os error ', CAST(id AS VARCHAR)) AS BIGINT) FROM generate_rows(3)";
    let arguments = ["sql", "-q", query, "--format", "csv", "--out", "out.csv"];
    let run = expect_failure(folder.path(), &arguments, 1, &["os error 0"]);
    assert!(!run.stderr.contains("cannot write"), "{}", run.stderr);
}

fn has_gpu() -> bool {
    warpframe::cuda::gpus().is_ok()
}

/// Whether a mode was skipped because there is no GPU. Checks the reason.
fn without_gpu(mode: &serde_json::Value) -> bool {
    let without = mode["mode"].as_str().unwrap().starts_with("cuda") && !has_gpu();
    if without {
        assert_eq!(mode["status"], "skipped");
        let reason = mode["reason"].as_str().unwrap();
        assert!(reason.contains("NVIDIA driver") || reason.contains("compute capability"), "{reason}");
    }
    without
}

#[test]
fn compare_writes_the_complete_report() {
    let folder = tempdir().unwrap();
    let run = ok(
        folder.path(),
        &[
            "compare",
            "--rows",
            "20000",
            "--repeat",
            "2",
            "--threads",
            "2",
            "--report",
            "r",
            "--json",
            "copy.json",
        ],
    );
    assert!(run.stdout.contains("speed-up"), "{}", run.stdout);
    assert_eq!(entries(&folder.path().join("r")), ["report.html", "report.json", "report.png", "report.svg"]);
    let json = std::fs::read_to_string(folder.path().join("r/report.json")).unwrap();
    assert_eq!(json, std::fs::read_to_string(folder.path().join("copy.json")).unwrap());
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["rows"], 20000);
    assert_eq!(
        report["command"],
        "warpframe compare --rows 20000 --repeat 2 --threads 2 --report r --json copy.json"
    );
    assert!(report["limit"]["stream_ms"].as_f64().unwrap() > 0.0);
    let names: Vec<_> = report["modes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mode| format!("{}, {}", mode["mode"].as_str().unwrap(), mode["source"].as_str().unwrap()))
        .collect();
    let single = ["interpreted", "columnar", "vectorized", "parallel", "rayon", "cuda", "cuda-resident"];
    let clusters = ["cluster-threads-1", "cluster-threads", "cluster-processes-1", "cluster-processes"];
    let expected: Vec<_> = single.iter().chain(&clusters).map(|mode| format!("{mode}, memory")).collect();
    assert_eq!(names, expected);
    for mode in report["modes"].as_array().unwrap() {
        if without_gpu(mode) {
            continue;
        }
        assert_eq!(mode["status"], "ok", "{mode}");
        assert!(mode["median_ms"].as_f64().unwrap() >= mode["min_ms"].as_f64().unwrap());
        assert!(mode["max_ulp"].as_u64().unwrap() <= 8);
        let clustered = mode["mode"].as_str().unwrap().starts_with("cluster");
        for part in ["start_ms", "scatter_ms", "compute_ms", "gather_ms"] {
            assert_eq!(mode["split"][part].as_f64() > Some(0.0), clustered, "{mode}");
        }
    }
    let png = std::fs::read(folder.path().join("r/report.png")).unwrap();
    assert_eq!(&png[1..4], b"PNG");
    let svg = std::fs::read_to_string(folder.path().join("r/report.svg")).unwrap();
    for word in ["interpreted", "rayon", "memory limit", "20,000 rows"] {
        assert!(svg.contains(word), "'{word}' is not in the drawing");
    }
    assert!(std::fs::read_to_string(folder.path().join("r/report.html")).unwrap().contains("<svg"));
}

#[test]
fn the_report_describes_the_formula_that_was_compared() {
    let folder = tempdir().unwrap();
    let compare = |arguments: &[&str]| {
        let common = ["compare", "--rows", "1000", "--repeat", "1", "--modes", "parallel", "--report", "r"];
        let run = ok(folder.path(), &[&common[..], arguments].concat());
        assert!(run.stdout.contains("practical limit of the memory, not a bound"), "{}", run.stdout);
        let html = std::fs::read_to_string(folder.path().join("r/report.html")).unwrap();
        for (page, wrong) in
            [(&run.stdout, "nothing can be faster"), (&html, "can be faster."), (&html, "best time")]
        {
            assert!(!page.contains(wrong), "'{wrong}' is in {page}");
        }
        assert!(html.contains("the median time of reading three columns and writing one"), "{html}");
        html
    };
    let log3 = compare(&[]);
    assert!(log3.contains("standard library's logarithms"), "{log3}");
    assert!(!log3.contains("The formula reads"), "{log3}");
    let other = compare(&["--expr", "x + 1"]);
    for wrong in ["standard library", "log3"] {
        assert!(!other.contains(wrong), "'{wrong}' is in {other}");
    }
    assert!(other.contains("DataFusion's own operators"), "{other}");
    assert!(other.contains("The formula reads x only"), "{other}");
    let sum = compare(&["--expr", "y * z", "--result", "sum"]);
    assert!(sum.contains("The formula reads y and z only"), "{sum}");
    assert!(sum.contains("A sum writes no column"), "{sum}");
}

#[test]
fn the_cluster_split_covers_only_timed_runs() {
    let folder = tempdir().unwrap();
    for repeat in ["1", "3"] {
        let modes = ["compare", "--rows", "1000", "--repeat", repeat, "--modes", "cluster-threads-1"];
        let files = ["--source", "parquet", "--result", "parquet", "--report", "r", "--json", "-"];
        let run = ok(folder.path(), &[&modes[..], &files[..]].concat());
        let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let mode = &report["modes"][0];
        // Executors write the results, so the run has no gather time.
        assert_eq!(mode["split"]["compute_ms"], mode["median_ms"], "{mode}");
        assert_eq!(mode["split"]["gather_ms"], 0.0, "{mode}");
    }
}

#[test]
fn compare_runs_from_every_source_to_every_result() {
    let folder = tempdir().unwrap();
    for source in ["memory", "parquet"] {
        for result in ["collect", "sum", "parquet"] {
            let run = ok(
                folder.path(),
                &[
                    "compare",
                    "--rows",
                    "30000",
                    "--repeat",
                    "1",
                    "--distribution",
                    "uniform",
                    "--seed",
                    "3",
                    "--source",
                    source,
                    "--result",
                    result,
                    "--report",
                    "r",
                    "--json",
                    "-",
                ],
            );
            let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
            for mode in report["modes"].as_array().unwrap() {
                let bare = mode["mode"] == "rayon" || mode["mode"] == "cuda-resident";
                let skipped = without_gpu(mode) || bare && (source == "parquet" || result == "parquet");
                assert_eq!(
                    mode["status"],
                    if skipped { "skipped" } else { "ok" },
                    "{source} {result} {mode}"
                );
                assert_eq!(mode["reason"].is_string(), skipped);
            }
        }
    }
    assert_eq!(entries(&folder.path().join("r")), ["report.html", "report.json", "report.png", "report.svg"]);
}

#[test]
fn every_mode_reproduces_the_published_sum_over_ten_million_rows() {
    let folder = tempdir().unwrap();
    let run = ok(folder.path(), &["compare", "--repeat", "1", "--report", "r", "--json", "-"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    for mode in report["modes"].as_array().unwrap().iter().filter(|mode| !without_gpu(mode)) {
        assert_eq!((&mode["status"], &mode["rows"]), (&"ok".into(), &10_000_000.into()), "{mode}");
        let sum = mode["sum"].as_f64().unwrap();
        assert!((sum / 34986983045.743 - 1.0).abs() < 1e-12, "{mode}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn arguments_may_be_invalid_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempdir().unwrap();
    let report = std::ffi::OsStr::from_bytes(b"\xff");
    let arguments = ["compare", "--modes", "parallel", "--rows", "1000", "--repeat", "1", "--report"];
    let run = finish(command(folder.path()).args(arguments).arg(report).output().unwrap());
    assert_eq!(run.code, Some(0), "{run:#?}");
    let json = std::fs::read_to_string(folder.path().join(report).join("report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["command"], format!("warpframe {} '\u{fffd}'", arguments.join(" ")));
}

#[test]
fn only_requested_modes_run() {
    let folder = tempdir().unwrap();
    let run = warpframe(
        folder.path(),
        &[
            "compare",
            "--rows",
            "1000",
            "--repeat",
            "1",
            "--modes",
            "rayon,vectorized",
            "--report",
            "r",
            "--json",
            "-",
        ],
    );
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let names: Vec<_> = report["modes"].as_array().unwrap().iter().map(|mode| mode["mode"].clone()).collect();
    assert_eq!(names, ["rayon", "vectorized"]);
}

#[test]
fn compare_accepts_expressions_and_rejects_invalid_ones() {
    // A value may begin with a minus sign, and one row is singular.
    let one = tempdir().unwrap();
    let run = ok(
        one.path(),
        &["compare", "--rows", "1", "--repeat", "1", "--modes", "vectorized", "--expr", "-x*y"],
    );
    assert!(run.stdout.contains("1 row (") && !run.stdout.contains("1 rows"), "{}", run.stdout);
    let folder = tempdir().unwrap();
    let at = folder.path();
    let expression = "sqrt(x*x+1)*sin(x)+cos(y/2)";
    let run = ok(at, &["compare", "--expr", expression, "--rows", "20000", "--report", "r", "--json", "-"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["expression"], expression);
    for mode in report["modes"].as_array().unwrap().iter().filter(|mode| !without_gpu(mode)) {
        assert_eq!(mode["status"], "ok", "{mode}");
    }
    for (expression, word) in [
        ("sqrt(", "error"),
        ("x + nosuch", "nosuch"),
        ("sqrt(-x)", "square root"),
        ("1.5 + 2.0", "columns"),
        ("x > 2", "Boolean"),
    ] {
        let before = entries(at);
        let run = warpframe(at, &["compare", "--expr", expression, "--rows", "1000", "--report", "bad"]);
        assert_eq!(run.code, Some(1), "{expression}: {run:#?}");
        assert!(run.stderr.contains(word), "{expression}: {}", run.stderr);
        let _ = std::fs::remove_dir(at.join("bad"));
        assert_eq!(entries(at), before);
    }
}

#[test]
fn an_init_file_defines_functions_for_sql_and_run() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("init.sql"), "CREATE FUNCTION twice(a DOUBLE) RETURNS DOUBLE RETURN a * 2;")
        .unwrap();
    let query =
        ["sql", "--init", "init.sql", "--format", "csv", "-q", "SELECT twice(x) AS t FROM rows LIMIT 2"];
    assert_eq!(ok(at, &query).stdout, "t\n2.0\n4.0\n");
    ok(at, &["generate", "--rows", "10", "--out", "in.parquet"]);
    ok(
        at,
        &[
            "run",
            "--init",
            "init.sql",
            "--in",
            "in.parquet",
            "--select",
            "twice(x) AS t",
            "--out",
            "out.parquet",
        ],
    );
    let sum =
        ok(at, &["sql", "--table", "o=out.parquet", "--format", "csv", "-q", "SELECT sum(t) AS s FROM o"]);
    assert_eq!(sum.stdout, "s\n110.0\n");
    expect_failure(at, &["sql", "--init", "nosuch.sql", "-q", "SELECT 1"], 1, &["nosuch.sql"]);
    std::fs::write(at.join("bad.sql"), "CREATE FUNCTION sqrt(a DOUBLE) RETURNS DOUBLE RETURN a").unwrap();
    expect_failure(at, &["sql", "--init", "bad.sql", "-q", "SELECT 1"], 1, &["sqrt", "built-in"]);
}

#[test]
fn the_version_has_the_revision_and_the_instruction_set() {
    let folder = tempdir().unwrap();
    let short = ok(folder.path(), &["-V"]).stdout;
    assert_eq!(short, concat!("warpframe ", env!("CARGO_PKG_VERSION"), "\n"));
    let long = command(folder.path()).env("WARPFRAME_SIMD", "portable").arg("--version").output().unwrap();
    let long = finish(long).stdout;
    for word in [env!("CARGO_PKG_VERSION"), " (", "DataFusion 55", "Arrow 59", "instruction set: portable"] {
        assert!(long.contains(word), "'{word}' is not in {long}");
    }
}

#[test]
fn completions_and_manual_pages_are_written() {
    let folder = tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = ok(folder.path(), &["completions", shell]).stdout;
        for word in ["generate", "distribution", "cluster"] {
            assert!(script.contains(word), "'{word}' is not in the script for {shell}");
        }
    }
    // A shell that loads the script completes a subcommand.
    let script = r#"source /dev/stdin; COMP_WORDS=(warpframe comp); COMP_CWORD=1; _warpframe warpframe comp warpframe; echo "${COMPREPLY[@]}""#;
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    match bash.spawn() {
        Ok(mut bash) => {
            let text = ok(folder.path(), &["completions", "bash"]).stdout;
            std::io::Write::write_all(&mut bash.stdin.take().unwrap(), text.as_bytes()).unwrap();
            let completed = finish(bash.wait_with_output().unwrap()).stdout;
            assert_eq!(completed, "compare completions\n");
        }
        Err(error) => common::skipped(&format!("bash: {error}")),
    }
    ok(folder.path(), &["man", "pages"]);
    let pages = entries(&folder.path().join("pages"));
    for page in ["warpframe.1", "warpframe-sql.1", "warpframe-cluster-local.1"] {
        assert!(pages.contains(&page.to_owned()), "{page} is not among {pages:?}");
    }
}

#[test]
fn a_comparison_reports_into_the_working_folder() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let run = ok(at, &["compare", "--rows", "1000", "--modes", "vectorized,parallel", "--repeat", "1"]);
    assert!(run.stderr.contains("report: warpframe-report/report.html"), "{}", run.stderr);
    let files = ["report.html", "report.json", "report.png", "report.svg"];
    assert_eq!(entries(&at.join("warpframe-report")), files);
    for line in run.stdout.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    // The next one replaces its files.
    let sweep = ["compare", "--sweep", "--rows", "5000", "--modes", "vectorized,parallel", "--repeat", "1"];
    let run = ok(at, &sweep);
    assert!(run.stdout.lines().next().is_some_and(|line| line.ends_with(" 5,000")), "{}", run.stdout);
    assert_eq!(entries(&at.join("warpframe-report")).len(), 8);
}

#[test]
fn a_comparison_checks_where_its_json_goes_before_it_runs() {
    let folder = tempdir().unwrap();
    let json = |path| ["compare", "--rows", "1000", "--report", "r", "--json", path];
    expect_failure(folder.path(), &json("none/x.json"), 2, &["there is no folder 'none'", "--json"]);
    expect_failure(folder.path(), &json("."), 2, &["'.' is a folder", "--json"]);
    assert_eq!(entries(folder.path()), entries(tempdir().unwrap().path()));
}

#[test]
fn limits_that_have_no_effect_are_refused() {
    let folder = tempdir().unwrap();
    let words = ["--memory-limit has no effect with --cluster", "cluster executor --memory-limit"];
    let sql = ["sql", "--cluster", "localhost:50050", "--memory-limit", "1MiB", "SELECT 1"];
    expect_failure(folder.path(), &sql, 2, &words);
}

#[test]
fn manual_pages_are_counted_without_other_files() {
    let folder = tempdir().unwrap();
    std::fs::create_dir(folder.path().join("man")).unwrap();
    std::fs::write(folder.path().join("man/other.1"), "").unwrap();
    let written = ok(folder.path(), &["man", "man"]);
    let pages = std::fs::read_dir(folder.path().join("man")).unwrap().count() - 1;
    assert!(written.stderr.contains(&format!("{pages} manual pages")), "{pages}: {}", written.stderr);
}
