//! External tools in a comparison: their results are verified, and a failing tool does not affect the others.

mod common;

use std::path::Path;

use common::{expect_failure, ok, skipped, warpframe};
use tempfile::tempdir;

/// Runs a comparison, expects the exit code, and returns the report.
fn compare(folder: &Path, arguments: &[&str], code: i32) -> serde_json::Value {
    let common = ["compare", "--modes", "parallel", "--repeat", "2", "--report", "report", "--json", "-"];
    let run = warpframe(folder, &[&common[..], arguments].concat());
    assert_eq!(run.code, Some(code), "{run:#?}");
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

/// A mode of a report.
fn mode<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    report["modes"].as_array().unwrap().iter().find(|mode| mode["mode"] == name).unwrap()
}

/// The path of a Python interpreter with the packages of `benches/peers/requirements.txt`.
fn python() -> Option<String> {
    let python = std::env::var("WARPFRAME_PYTHON").ok();
    if python.is_none() {
        skipped("external tools: WARPFRAME_PYTHON does not name an interpreter that has them");
    }
    python
}

/// The tools that run on the CPU.
const CPU_TOOLS: [&str; 16] = [
    "python",
    "numpy",
    "numexpr",
    "numba",
    "numba-parallel",
    "numba-rows",
    "jax",
    "polars",
    "polars-streaming",
    "duckdb",
    "datafusion-python",
    "dask-threads-1",
    "dask-threads",
    "dask-processes-1",
    "dask-processes",
    "dask-rows",
];

#[test]
fn every_cpu_tool_gives_the_right_result() {
    let Some(python) = python() else { return };
    let folder = tempdir().unwrap();
    for result in ["collect", "sum"] {
        let arguments = ["--rows", "100000", "--result", result, "--peers", "--python", &python];
        let report = compare(folder.path(), &arguments, 0);
        for name in CPU_TOOLS {
            let mode = mode(&report, name);
            assert_eq!(mode["status"], "ok", "{mode}");
            assert_eq!(mode["rows"], if name == "python" { 5_000 } else { 100_000 });
            assert!(mode["peer"]["version"].as_str().unwrap().contains(char::is_numeric), "{mode}");
            assert_eq!(mode["max_ulp"].is_u64(), result == "collect");
        }
        // warpframe and JAX sum the same rows.
        let sum = |name: &str| mode(&report, name)["sum"].as_f64().unwrap();
        assert!((sum("parallel") - sum("jax")).abs() <= 1e-12 * sum("parallel"));
    }
    let arguments = ["--rows", "100000", "--source", "parquet", "--result", "parquet"];
    let peers = ["--peers", "numpy,polars,duckdb,datafusion", "--python", &python];
    let report = compare(folder.path(), &[&arguments[..], &peers[..]].concat(), 0);
    for name in ["parallel", "polars", "duckdb", "datafusion-python"] {
        let bytes = mode(&report, name)["output_bytes"].as_u64().unwrap();
        assert!((800_000..1_100_000).contains(&bytes), "{name} has written {bytes} bytes");
    }
    let numpy = mode(&report, "numpy");
    assert_eq!(
        (numpy["status"].as_str(), numpy["reason"].as_str()),
        (Some("skipped"), Some("it does not write Parquet from Parquet"))
    );
    let html = std::fs::read_to_string(folder.path().join("report/report.html")).unwrap();
    assert!(html.contains("polars 2.") && html.contains("bytes of Parquet"));
}

/// Creates a shell script that replaces the Python interpreter.
#[cfg(unix)]
fn fake_python(folder: &Path, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("python");
    std::fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
#[cfg(unix)]
fn a_failing_tool_does_not_affect_the_others() {
    let answer = r#"echo "{\"version\": \"one 1\", \"first_ms\": 1, \"times_ms\": [3, 1], \"threads\": 1, \"rows\": 1000, \"sum\": $1}""#;
    let with_sum = |sum: &str| format!("set -- {sum}; {answer}");
    let cases = [
        ("sleep 100 & sleep 100".to_owned(), "it took longer than 1 seconds"),
        ("echo no module >&2; exit 1".to_owned(), "it ended without an answer: no module"),
        ("echo '{\"failed\": \"ValueError: no\"}'".to_owned(), "ValueError: no"),
        (with_sum("1.5"), "wrong answer: the sum is 1.5"),
    ];
    for (script, why) in cases {
        let folder = tempdir().unwrap();
        let python = fake_python(folder.path(), &script);
        let arguments = ["--rows", "1000", "--result", "sum", "--peers", "numpy,duckdb", "--python", &python];
        let report = compare(folder.path(), &[&arguments[..], &["--peer-timeout", "1"]].concat(), 1);
        for name in ["numpy", "duckdb"] {
            let mode = mode(&report, name);
            assert_eq!(mode["status"], "failed", "{mode}");
            assert!(mode["reason"].as_str().unwrap().contains(why), "{mode}");
        }
        assert_eq!(mode(&report, "parallel")["status"], "ok");
        assert_eq!(std::fs::read_dir(folder.path().join("report")).unwrap().count(), 4);
    }
    // A script that returns the right sum, computed by warpframe.
    let folder = tempdir().unwrap();
    let query = "SELECT sum(log3(x, y, z)) FROM generate_rows(1000)";
    let sum = ok(folder.path(), &["sql", "--format", "csv", "-q", query]).stdout;
    let python = fake_python(folder.path(), &with_sum(sum.lines().last().unwrap()));
    let arguments = ["--rows", "1000", "--result", "sum", "--peers", "numpy", "--python", &python];
    let report = compare(folder.path(), &arguments, 0);
    let numpy = mode(&report, "numpy");
    assert_eq!((numpy["median_ms"].as_f64(), numpy["min_ms"].as_f64()), (Some(2.0), Some(1.0)));
    assert_eq!(numpy["peer"]["version"], "one 1");
}

#[test]
fn skipped_tools_have_a_reason() {
    let folder = tempdir().unwrap();
    let nowhere = ["--rows", "1000", "--peers", "--python", "/nowhere/python"];
    let report = compare(folder.path(), &nowhere, 0);
    for name in CPU_TOOLS {
        let mode = mode(&report, name);
        assert_eq!(mode["status"], "skipped");
        assert!(mode["reason"].as_str().unwrap().starts_with("'/nowhere/python' cannot be run: "), "{mode}");
    }
    let other = ["--rows", "1000", "--expr", "x + 1", "--peers", "numpy"];
    assert_eq!(mode(&compare(folder.path(), &other, 0), "numpy")["reason"], "the peers know log3 only");
    let unknown = ["compare", "--rows", "1000", "--peers", "numbat"];
    expect_failure(folder.path(), &unknown, 2, &["there is no peer 'numbat': use one of python, numpy, "]);
}

#[test]
fn a_sweep_plots_time_over_rows() {
    let folder = tempdir().unwrap();
    let arguments = ["--sweep", "--rows", "100000", "--modes", "vectorized,parallel"];
    let run =
        ok(folder.path(), &[&["compare", "--repeat", "2", "--report", "report"], &arguments[..]].concat());
    assert!(run.stdout.starts_with("rows"), "{}", run.stdout);
    assert!(run.stdout.contains("The fastest is `"), "{}", run.stdout);
    let read = |name: &str| std::fs::read_to_string(folder.path().join("report").join(name)).unwrap();
    let sweep: serde_json::Value = serde_json::from_str(&read("sweep.json")).unwrap();
    let rows: Vec<_> =
        sweep["reports"].as_array().unwrap().iter().map(|report| report["rows"].as_u64()).collect();
    assert_eq!(rows, [Some(1_000), Some(10_000), Some(100_000)]);
    for part in ["<polyline", ">vectorized<", ">100,000<"] {
        assert!(read("sweep.svg").contains(part), "the drawing has no {part}");
    }
    assert!(read("sweep.html").contains("<li>The fastest is `"));
    let few = ["compare", "--sweep", "--rows", "10"];
    expect_failure(folder.path(), &few, 1, &["a sweep begins with 1000 rows"]);
}
