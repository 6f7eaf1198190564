//! External tools in a comparison and in a suite: their results are verified, and a failing tool does not affect the others.

mod common;

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use common::{expect_failure, ok, skipped, warpframe};
use tempfile::tempdir;
use warpframe::compare::suite::{Suite, SuiteFormula};
use warpframe::compare::{ExternalTools, Mode, ResultSink, Status, external_tools};

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
const CPU_TOOLS: [&str; 21] = [
    "warpframe-numpy",
    "warpframe-sql",
    "python",
    "numpy",
    "numexpr",
    "blosc2",
    "numba",
    "numba-parallel",
    "numba-rows",
    "numba-ufunc",
    "numba-ufunc-parallel",
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
fn every_cpu_tool_sums_log3() {
    let Some(python) = python() else { return };
    let folder = tempdir().unwrap();
    let arguments = ["--rows", "100000", "--result", "sum", "--peers", "--python", &python];
    let report = compare(folder.path(), &arguments, 0);
    for name in CPU_TOOLS {
        let mode = mode(&report, name);
        assert_eq!(mode["status"], "ok", "{mode}");
        assert_eq!(mode["rows"], if name == "python" { 5_000 } else { 100_000 });
        assert!(mode["peer"]["version"].as_str().unwrap().contains(char::is_numeric), "{mode}");
        assert!(mode["max_ulp"].is_null());
    }
    // warpframe and JAX sum the same rows.
    let sum = |name: &str| mode(&report, name)["sum"].as_f64().unwrap();
    assert!((sum("parallel") - sum("jax")).abs() <= 1e-12 * sum("parallel"));
}

#[test]
fn tools_evaluate_the_formula_of_a_comparison() {
    let Some(python) = python() else { return };
    let folder = tempdir().unwrap();
    let formula = "CASE WHEN x < y THEN x * power(y, -1.7) WHEN NOT (x > 2 * z OR z < 7) THEN abs(sin(z)) - 0.1 ELSE \
        1 / (1 + exp(-(x - y) / 1000)) END";
    let tools = [
        "warpframe-numpy",
        "warpframe-sql",
        "python",
        "numpy",
        "numexpr",
        "blosc2",
        "numba-ufunc",
        "jax",
        "polars",
        "duckdb",
        "datafusion-python",
    ];
    let peers = tools.join(",");
    let arguments = ["--expr", formula, "--rows", "50000", "--distribution", "uniform"];
    let report =
        compare(folder.path(), &[&arguments[..], &["--peers", &peers, "--python", &python]].concat(), 0);
    for name in tools {
        let mode = mode(&report, name);
        assert_eq!(mode["status"], "ok", "{mode}");
        // Every row was compared.
        assert!(mode["max_ulp"].is_u64(), "{mode}");
    }
}

/// A formula for each operation that external tools may have.
const OPERATIONS: &[SuiteFormula] = &[
    SuiteFormula { name: "operators", sql: "-(x + y) * (z - 7) / (x - y * (z / 3))" },
    SuiteFormula { name: "remainder", sql: "(x - 50) % y" },
    SuiteFormula { name: "abs", sql: "abs(x - 50)" },
    SuiteFormula { name: "sqrt", sql: "sqrt(x)" },
    SuiteFormula { name: "cbrt", sql: "cbrt(x - 50)" },
    SuiteFormula { name: "logarithms", sql: "ln(x) + log2(y) + log10(z)" },
    SuiteFormula { name: "log", sql: "log(x + 1) + log(3, y + 1)" },
    SuiteFormula { name: "exp", sql: "exp((x - y) / 10)" },
    SuiteFormula { name: "trigonometry", sql: "sin(x) + cos(y) + tan(z / 70)" },
    SuiteFormula { name: "inverse", sql: "asin(x / 100) + acos(y / 100) + atan(z)" },
    SuiteFormula { name: "atan2", sql: "atan2(x - 50, y - 50)" },
    SuiteFormula { name: "hyperbolic", sql: "sinh(x / 10) + cosh(y / 10) + tanh(z / 50)" },
    SuiteFormula { name: "angles", sql: "degrees(x) + radians(y)" },
    SuiteFormula { name: "floor", sql: "floor(x - 50) + ceil(y - 50)" },
    SuiteFormula { name: "trunc", sql: "trunc(x - 50)" },
    SuiteFormula { name: "round", sql: "round(x - 50)" },
    SuiteFormula { name: "signum", sql: "signum(x - 50)" },
    SuiteFormula { name: "power", sql: "power(x, -1.7) + power(y, 2) + power(2, z / 10)" },
    SuiteFormula { name: "greatest", sql: "greatest(x, y, 20) - least(x, z)" },
    SuiteFormula {
        name: "comparisons",
        sql: "CASE WHEN x <= y THEN 0.1 WHEN x >= 2 * z THEN y ELSE 0.7 END",
    },
    SuiteFormula { name: "equality", sql: "CASE floor(x / 25) WHEN 1 THEN y WHEN 2 THEN z ELSE x END" },
    SuiteFormula {
        name: "logic",
        sql: "CASE WHEN (x < y AND NOT z > 50) OR floor(x) <> x AND y BETWEEN 20 AND 30 THEN x ELSE z END",
    },
    SuiteFormula { name: "isnan", sql: "CASE WHEN isnan(x) THEN y ELSE nanvl(z, y) END" },
];

/// The operations that tools lack.
const LACKING: [(&str, &[&str]); 12] = [
    ("warpframe-numpy", &["round"]),
    ("warpframe-sql", &[]),
    ("numpy", &["round"]),
    ("numexpr", &["cbrt", "angles", "round"]),
    ("blosc2", &["remainder", "cbrt", "angles", "round"]),
    ("numba-ufunc", &["round"]),
    ("jax", &["round"]),
    ("polars", &["remainder"]),
    ("duckdb", &[]),
    ("datafusion-python", &[]),
    ("dask-threads", &["round"]),
    ("python", &["round", "signum"]),
];

#[test]
fn every_tool_has_every_operation_that_it_does_not_skip() {
    let Some(python) = python() else { return };
    let folder = tempdir().unwrap();
    let names = LACKING.map(|(tool, _)| tool);
    let report = Suite {
        formulas: OPERATIONS.iter().collect(),
        results: vec![ResultSink::Collect],
        keep: vec![100],
        modes: vec![Mode::Vectorized],
        external_tools: ExternalTools {
            modes: external_tools::with_names(&names),
            python: python.into(),
            timeout: Duration::from_secs(100),
        },
        rows: 4_000,
        seed: 1,
        repeat: NonZeroUsize::MIN,
        threads: NonZeroUsize::new(2).unwrap(),
        work_folder: folder.path().to_owned(),
    }
    .run("a test".to_owned(), &|_| ())
    .unwrap();
    assert_eq!(report.cases.len(), OPERATIONS.len());
    for case in &report.cases {
        assert_eq!(case.of_tool("vectorized").unwrap().status, Status::Ok, "{case:#?}");
        for (tool, lacking) in LACKING {
            let measurement = case.of_tool(tool).unwrap_or_else(|| panic!("{tool}: {:#?}", report.tools));
            let expected = match lacking.contains(&case.formula.as_str()) {
                true => Status::Skipped,
                false => Status::Ok,
            };
            assert_eq!(measurement.status, expected, "{}: {measurement:#?}", case.expression);
        }
    }
}

#[test]
fn tools_write_parquet() {
    let Some(python) = python() else { return };
    let folder = tempdir().unwrap();
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

#[test]
fn a_tool_without_an_operation_is_skipped() {
    let Some(python) = python() else { return };
    let folder = tempdir().unwrap();
    let reasons = |formula: &str, peers: &str| -> Vec<(String, String)> {
        let arguments = ["--expr", formula, "--rows", "1000", "--peers", peers, "--python", &python];
        let report = compare(folder.path(), &arguments, 0);
        let modes = report["modes"].as_array().unwrap().iter().skip(1);
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        modes.map(|mode| (text(&mode["status"]), text(&mode["reason"]))).collect()
    };
    let skipped = |reason: &str| ("skipped".to_owned(), reason.to_owned());
    // SQL rounds halves away from zero, NumPy to even numbers.
    let ok = ("ok".to_owned(), String::new());
    let rounded = reasons("round(x / 2) + cbrt(y)", "numpy,numexpr,duckdb");
    let lacking = ["NumPy has no counterpart of round", "numexpr has no counterpart of round"].map(skipped);
    assert_eq!(rounded, [&lacking[..], &[ok]].concat());
    let greatest = reasons("CASE WHEN x < 5 THEN greatest(x, y, 2) ELSE z END", "blosc2");
    assert_eq!(
        greatest,
        [skipped("blosc2 4.14.1 returns wrong results of maximum and minimum inside of where")]
    );
    let log3 = reasons("log3(x, y, z) + 1", "numpy,duckdb");
    let reason =
        "peers evaluate operations on Float64 columns and constants, and have no counterpart of log3";
    assert_eq!(log3, [skipped(reason), skipped(reason)]);
}

/// Creates a shell script that replaces the Python interpreter. It answers the requests of the comparison: `load`, `run` and
/// `answer` are shell commands that print an answer.
#[cfg(unix)]
fn fake_python(folder: &Path, load: &str, run: &str, answer: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("python");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\nruns=0\n{load}\nwhile read -r request; do case \"$request\" in\n\
         *prepare*) echo '{{}}' ;;\n*run*) runs=$((runs + 1)); {run} ;;\n*answer*) {answer} ;;\n*) exit 0 ;;\n\
         esac; done\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[cfg(unix)]
const LOAD: &str = r#"echo '{"version": "one 1", "import_ms": 1, "load_ms": 1, "threads": 1}'"#;

/// A run whose time in milliseconds is its number.
#[cfg(unix)]
const RUN: &str = r#"echo "{\"ms\": $runs}""#;

#[cfg(unix)]
fn answer(sum: &str) -> String {
    format!(r#"echo '{{"rows": 1000, "sum": {sum}}}'"#)
}

#[test]
#[cfg(unix)]
fn a_failing_tool_does_not_affect_the_others() {
    let wrong = answer("1.5");
    let cases = [
        ("sleep 100 & sleep 100", RUN, wrong.as_str(), "it took longer than 1 seconds"),
        (LOAD, "sleep 100", &wrong, "it took longer than 1 seconds"),
        ("echo no module >&2; exit 1", RUN, &wrong, "it ended without an answer: no module"),
        (LOAD, "echo out of memory >&2; exit 1", &wrong, "it ended without an answer: out of memory"),
        ("echo '{\"failed\": \"ValueError: no\"}'", RUN, &wrong, "ValueError: no"),
        (LOAD, "echo hello", &wrong, "it answered 'hello'"),
        (LOAD, RUN, &wrong, "wrong answer: the sum is 1.5"),
    ];
    for (load, run, answer, why) in cases {
        let folder = tempdir().unwrap();
        let python = fake_python(folder.path(), load, run, answer);
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
    let python = fake_python(folder.path(), LOAD, RUN, &answer(sum.lines().last().unwrap()));
    let arguments = ["--rows", "1000", "--result", "sum", "--peers", "numpy", "--python", &python];
    let report = compare(folder.path(), &arguments, 0);
    let numpy = mode(&report, "numpy");
    let times = ["first_ms", "median_ms", "min_ms", "max_ms"].map(|field| numpy[field].as_f64().unwrap());
    assert_eq!(times, [1.0, 2.5, 2.0, 3.0]);
    assert_eq!(numpy["peer"]["version"], "one 1");
}

#[test]
fn skipped_tools_have_a_reason_and_those_of_gpus_share_a_line() {
    let folder = tempdir().unwrap();
    let nowhere = [
        "--rows",
        "1000",
        "--modes",
        "parallel,cuda,cuda-resident",
        "--peers",
        "--python",
        "/nowhere/python",
    ];
    let run =
        ok(folder.path(), &[&["compare", "--repeat", "2", "--report", "report"], &nowhere[..]].concat());
    let read = |name: &str| std::fs::read_to_string(folder.path().join("report").join(name)).unwrap();
    let report: serde_json::Value = serde_json::from_str(&read("report.json")).unwrap();
    for name in CPU_TOOLS {
        let mode = mode(&report, name);
        assert_eq!(mode["status"], "skipped");
        assert!(mode["reason"].as_str().unwrap().starts_with("'/nowhere/python' cannot be run: "), "{mode}");
    }
    if report["machine"]["gpus"].as_array().unwrap().is_empty() {
        let line = "no usable GPU, skipped: cuda, cuda-resident, jax-gpu, jax-gpu-resident, cupy, cupy-resident, torch, \
            torch-resident, numba-cuda";
        // The page contains the drawing and a table.
        for (shown, lines) in [(&run.stdout, 1), (&read("report.svg"), 1), (&read("report.html"), 2)] {
            let counts = (shown.matches(line).count(), shown.matches("torch-resident").count());
            assert_eq!(counts, (lines, lines), "{shown}");
        }
        assert_eq!(mode(&report, "torch-resident")["status"], "skipped");
    }
    let unknown = ["compare", "--rows", "1000", "--peers", "numbat"];
    expect_failure(
        folder.path(),
        &unknown,
        2,
        &["there is no peer 'numbat': use one of warpframe, warpframe-numpy, "],
    );
}

/// Runs a suite, expects the exit code, and returns the report and the text on stdout.
fn suite(folder: &Path, arguments: &[&str], code: i32) -> (serde_json::Value, String) {
    let common = ["compare", "--repeat", "2", "--report", "report", "--threads", "2"];
    let run = warpframe(folder, &[&common[..], arguments].concat());
    assert_eq!(run.code, Some(code), "{run:#?}");
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    let report = std::fs::read_to_string(folder.join("report/suite.json")).unwrap();
    // Long findings go on in an indented line.
    (serde_json::from_str(&report).unwrap(), run.stdout.replace("\n  ", " "))
}

#[test]
fn a_suite_runs_every_cpu_tool_with_and_without_a_condition() {
    let Some(python) = python() else { return };
    let folder = tempdir().unwrap();
    let peers = "warpframe,python,numpy,numexpr,blosc2,numba,jax,polars,duckdb,datafusion,dask";
    let arguments = ["--suite", "clamp,power-law", "--keep", "100,10", "--rows", "40000", "--peers", peers];
    let (report, stdout) = suite(folder.path(), &[&arguments[..], &["--python", &python]].concat(), 0);
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2 * 2 * 2);
    for case in cases {
        let all = case["keep_percent"] == 100;
        let rows = case["rows"].as_u64().unwrap();
        assert!(if all { rows == 40_000 } else { (3_700..4_300).contains(&rows) }, "{rows} rows");
        assert_eq!(case["filter"], if all { serde_json::Value::Null } else { "w <= 10".into() });
        let measurements = case["measurements"].as_array().unwrap();
        let names: Vec<_> = measurements.iter().map(|one| one["tool"].as_str().unwrap()).collect();
        for name in ["vectorized", "parallel"].iter().chain(&CPU_TOOLS) {
            let position = names.iter().position(|tool| tool == name);
            let measurement = &measurements[position.unwrap_or_else(|| panic!("{name} is not in {names:?}"))];
            assert_eq!(measurement["status"], "ok", "{case}");
            assert_eq!(measurement["repeats"], 2, "{measurement}");
            let number = |field: &str| measurement[field].as_f64().unwrap();
            assert!(number("min_ms") <= number("median_ms") && number("median_ms") <= number("max_ms"));
            assert_eq!(measurement["max_ulp"].is_u64(), case["result"] == "collect", "{measurement}");
        }
    }
    let tools = report["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 2 + CPU_TOOLS.len() + 2, "JAX has two modes of GPUs: {tools:?}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join("report").join(name)).unwrap();
    for part in ["10 % of the rows, to arrays (w &lt;= 10)", "power-law", "mean, × parallel", ">blosc2<"] {
        assert!(read("suite.svg").contains(part), "the drawing has no {part}");
    }
    assert_eq!(&std::fs::read(folder.path().join("report/suite.png")).unwrap()[1..4], b"PNG");
    assert!(read("suite.html").contains("CASE WHEN x &lt; y"));
    assert!(stdout.contains("all rows, to their sum") && stdout.contains("datafusion-python"), "{stdout}");
    every_field_is_documented(&report);
}

/// Checks that `docs/report.md` has all fields of the report of a suite.
fn every_field_is_documented(report: &serde_json::Value) {
    let documentation = include_str!("../docs/report.md");
    let case = &report["cases"][0];
    for object in [report, &report["tools"][0], case, &case["measurements"][0]] {
        for field in object.as_object().unwrap().keys() {
            assert!(documentation.contains(&format!("`{field}`")), "docs/report.md has no field '{field}'");
        }
    }
}

#[test]
#[cfg(unix)]
fn a_suite_says_where_a_tool_is_faster_and_which_tool_is_wrong() {
    let folder = tempdir().unwrap();
    let arguments = ["--suite", "distance", "--result", "sum", "--keep", "100", "--rows", "1000"];
    let no_tool = [&arguments[..], &["--peers", "numpy", "--python", "/nowhere/python"]].concat();
    let (report, stdout) = suite(folder.path(), &no_tool, 0);
    assert!(stdout.contains("`numpy` skipped: '/nowhere/python' cannot be run"), "{stdout}");
    let measured = |report: &serde_json::Value, tool: &str| {
        let measurements = report["cases"][0]["measurements"].as_array().unwrap().clone();
        measurements.into_iter().find(|one| one["tool"] == tool).unwrap()
    };
    let sum = measured(&report, "parallel")["sum"].to_string();
    // A tool with the right sum that takes a nanosecond.
    let with_tool = |answer: &str, code: i32| {
        let python = fake_python(folder.path(), LOAD, "echo '{\"ms\": 0.000001}'", answer);
        suite(folder.path(), &[&arguments[..], &["--peers", "numpy", "--python", &python]].concat(), code)
    };
    let (report, stdout) = with_tool(&answer(&sum), 0);
    assert_eq!(measured(&report, "numpy")["status"], "ok");
    let finding = report["findings"][0].as_str().unwrap();
    assert!(
        finding.starts_with(
            "All rows, to their sum: `parallel` is faster than all external tools in 0 of 1 formulas;"
        ),
        "{finding}"
    );
    assert!(finding.contains("It is slower in distance than `numpy` ("), "{finding}");
    assert!(stdout.contains(finding), "{stdout}");
    let (report, stdout) = with_tool(&answer("2.5"), 1);
    let numpy = measured(&report, "numpy");
    assert_eq!(numpy["status"], "failed");
    assert!(numpy["reason"].as_str().unwrap().starts_with("wrong answer: the sum is 2.5"), "{numpy}");
    assert_eq!(measured(&report, "parallel")["status"], "ok");
    assert!(stdout.contains("`numpy` FAILED in distance, all rows, to their sum: wrong answer"), "{stdout}");
    let svg = std::fs::read_to_string(folder.path().join("report/suite.svg")).unwrap();
    assert!(svg.contains(">failed<"));
}

#[test]
fn a_suite_rejects_wrong_usage() {
    let folder = tempdir().unwrap();
    let usage = |arguments: &[&str], words: &[&str]| {
        let suite = ["compare", "--suite", "--rows", "1000", "--report", "report"];
        expect_failure(folder.path(), &[&suite[..], arguments].concat(), 2, words);
        assert!(!folder.path().join("report").exists(), "{arguments:?} has created a folder");
    };
    usage(&["--expr", "x + 1"], &["--expr"]);
    usage(&["--sweep"], &["--sweep"]);
    usage(&["--keep", "0"], &["1..=100"]);
    usage(&["--result", "parquet"], &["a suite writes no Parquet"]);
    usage(&["--modes", "rayon"], &["the mode rayon cannot take part in a suite", "vectorized, parallel"]);
    let unknown = ["compare", "--suite", "clamp,cramp"];
    expect_failure(
        folder.path(),
        &unknown,
        2,
        &["the suite has no formula 'cramp': use one of multiply-add, "],
    );
    expect_failure(folder.path(), &["compare", "--keep", "10"], 2, &["--suite"]);
    let few = ["compare", "--suite", "clamp", "--rows", "3", "--keep", "1", "--python", "/nowhere/python"];
    expect_failure(folder.path(), &few, 1, &["none of 3 rows meets the condition w <= 1: use more rows"]);
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
    expect_failure(folder.path(), &few, 1, &["a sweep begins with 1,000 rows"]);
}
