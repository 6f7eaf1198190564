//! The documentation agrees with the committed measurements, the fields of the JSON report, and the op table, and the scripts
//! that measure GPUs work. With WARPFRAME_BLESS=1 these tests write what they check.

#[path = "common/skipped.rs"]
mod skipped;

use std::path::Path;

use skipped::skipped;
use warpframe::compare::report::suite_chart::mean_ratio;
use warpframe::compare::report::suite_page;
use warpframe::compare::suite::{CaseReport, SuiteReport};

fn report(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_documentation_shows_the_committed_measurements() {
    let collect = report(include_str!("../benches/results/cpu-2026-11-23.json"));
    check_table("README.md", include_str!("../README.md"), &collect);
    let page = include_str!("../docs/peers.md");
    check_table("docs/peers.md", page, &report(include_str!("../benches/results/cpu-2026-11-23-sum.json")));
    check_table(
        "docs/peers.md",
        page,
        &report(include_str!("../benches/results/cpu-2026-11-23-parquet.json")),
    );
    let sweep = report(include_str!("../benches/results/cpu-2026-11-23-sweep.json"));
    for finding in sweep["findings"].as_array().unwrap() {
        let finding = finding.as_str().unwrap();
        assert!(page.contains(finding), "docs/peers.md does not say '{finding}'");
    }
}

fn check_table(name: &str, page: &str, report: &serde_json::Value) {
    let mut shown = 0;
    for mode in report["modes"].as_array().unwrap().iter().filter(|mode| mode["status"] == "ok") {
        let number = |field: &str| mode[field].as_f64().unwrap();
        let (mode_name, source) = (mode["mode"].as_str().unwrap(), mode["source"].as_str().unwrap());
        let again = source != report["source"] && !mode_name.starts_with("cluster");
        let row = format!(
            "| `{mode_name}`{} | {} | {:.1} | {:.1} – {:.1} |",
            if again { ", from Parquet" } else { "" },
            mode["threads"],
            number("median_ms"),
            number("min_ms"),
            number("max_ms"),
        );
        assert!(page.contains(&row), "{name} has no row '{row}'");
        shown += 1;
    }
    assert!(shown > 3, "{name}: {shown} modes");
}

/// The committed suites by the names of their files, such as `suite-avx512`.
fn suites() -> Vec<(String, SuiteReport)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
    let mut suites: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".json")?.to_owned();
            name.starts_with("suite-").then(|| {
                let text = std::fs::read_to_string(&path).unwrap();
                (name, SuiteReport::from_json(&text).unwrap())
            })
        })
        .collect();
    suites.sort_by(|one, other| one.0.cmp(&other.0));
    suites
}

/// A table of the geometric means over all formulas of the times relative to `parallel`, for each kind of result and condition.
fn means(suite: &SuiteReport) -> String {
    let groups = suite.groups();
    let heads: String = groups.iter().map(|group| format!(" {} |", group[0].describe())).collect();
    let mut table = format!("| time, × `parallel` |{heads}\n|---|{}\n", "---|".repeat(groups.len()));
    for tool in suite.participants() {
        let mean = |group: &Vec<&CaseReport>| {
            mean_ratio(group, &tool.name).map_or(" – |".to_owned(), |mean| format!(" {mean:.2} |"))
        };
        table += &format!("| `{}` |{}\n", tool.name, groups.iter().map(mean).collect::<String>());
    }
    table + "\n"
}

/// The sections about suites in the README: pictures, geometric means, and where warpframe is slower.
fn suites_in_the_readme(suites: &[(String, SuiteReport)]) -> String {
    let mut text = String::new();
    for (name, suite) in suites {
        text += &format!(
            "![Formulas by tools on {}: bars of medians](benches/results/{name}-all-rows.png)\n\n\
             {}, {} threads, measured with `{}` (warpframe {}):\n\n",
            suite.machine.simd,
            suite.describe_machine(),
            suite.threads,
            suite.command,
            suite.git_revision
        );
        text += &means(suite);
        let of_parallel = suite.findings.iter().filter(|finding| finding.contains(": `parallel` "));
        text += &of_parallel.map(|finding| format!("- {finding}\n")).collect::<String>();
        text += "\n";
    }
    text
}

/// The sections about suites in docs/peers.md: pictures, medians and findings.
fn suites_in_the_page(suites: &[(String, SuiteReport)]) -> String {
    let mut text = String::new();
    for (name, suite) in suites {
        text += &format!(
            "### {}\n\nMeasured with `{}` (warpframe {}): {} rows, {} threads, medians of up to {} runs in milliseconds. The \
             memory limit was {:.1} ms. The complete report is [{name}.json](../benches/results/{name}.json).\n\n\
             ![Formulas by tools: bars of medians](../benches/results/{name}.png)\n\n",
            suite.describe_machine(),
            suite.command,
            suite.git_revision,
            suite.rows,
            suite.threads,
            suite.repeat,
            suite.limit.stream_ms
        );
        let tools: Vec<_> = suite.participants().map(|tool| tool.name.as_str()).collect();
        for group in suite.groups() {
            let what = group[0].describe();
            let names: String = tools.iter().map(|tool| format!(" `{tool}` |")).collect();
            text += &format!("| {what} |{names}\n|---|{}\n", "---|".repeat(tools.len()));
            for case in group {
                let median = |tool: &&str| {
                    case.median_of(tool).map_or(" – |".to_owned(), |median| format!(" {median:.1} |"))
                };
                text += &format!("| {} |{}\n", case.formula, tools.iter().map(median).collect::<String>());
            }
            text += "\n";
        }
        text += &suite.findings.iter().map(|finding| format!("- {finding}\n")).collect::<String>();
        text += "\n";
    }
    text
}

#[test]
fn the_documentation_shows_the_committed_suites() {
    let suites = suites();
    let bless = std::env::var_os("WARPFRAME_BLESS").is_some();
    for (name, suite) in &suites {
        // The picture of the README leaves out conditions.
        let mut without_conditions = suite.clone();
        without_conditions.cases.retain(|case| case.filter.is_none());
        for (picture, suite) in [(name.clone(), suite), (format!("{name}-all-rows"), &without_conditions)] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/results/{picture}.png"));
            if bless {
                std::fs::write(&path, suite_page::picture(suite).unwrap()).unwrap();
            }
            assert!(
                path.exists(),
                "benches/results has {name}.json and no {picture}.png: run with WARPFRAME_BLESS=1"
            );
        }
    }
    let pages =
        [("README.md", suites_in_the_readme(&suites)), ("docs/peers.md", suites_in_the_page(&suites))];
    for (page, expected) in pages {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once("<!-- suites -->\n").unwrap();
        let (shown, after) = rest.split_once("<!-- end of suites -->\n").unwrap();
        if bless {
            std::fs::write(
                &path,
                format!("{before}<!-- suites -->\n{expected}<!-- end of suites -->\n{after}"),
            )
            .unwrap();
        } else {
            assert!(
                shown == expected,
                "{page} does not show the committed suites: run the tests with WARPFRAME_BLESS=1"
            );
        }
    }
}

#[test]
fn the_scripts_of_gpu_measurements_judge_and_keep_results() {
    let python = std::env::var("WARPFRAME_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = |arguments: &[&str]| {
        std::process::Command::new(&python)
            .args(arguments)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/gpu"))
            .output()
    };
    if !run(&["--version"]).is_ok_and(|version| version.status.success()) {
        return skipped("there is no Python to test the scripts of GPU measurements");
    }
    for arguments in [&["test_scripts.py"][..], &["results.py", "--check"]] {
        let done = run(arguments).unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn every_field_of_the_report_is_documented() {
    let documentation = include_str!("../docs/report.md");
    let report = report(include_str!("../benches/results/cpu-2026-11-23.json"));
    let with = |field: &str| {
        let modes = report["modes"].as_array().unwrap();
        modes.iter().find(|mode| mode[field].is_object()).unwrap()
    };
    let (split, peer) = (with("split"), with("peer"));
    let objects = [&report, &report["libraries"], &report["machine"], &report["limit"]];
    for object in objects.into_iter().chain([split, &split["split"], &peer["peer"]]) {
        for field in object.as_object().unwrap().keys() {
            assert!(documentation.contains(&format!("`{field}`")), "docs/report.md has no field '{field}'");
        }
    }
}

/// The expected text of docs/ops.md, generated from the op table.
fn ops_page() -> String {
    use warpframe::cuda::ops::{binary_template, unary_template};
    use warpframe::ir::ScalarType;
    use warpframe::ir::ops::{Binary, OpInfo, Unary};
    let mut page = "# The ops\n\n\
        The ops that fused expressions consist of. DataFusion evaluates every other part of an expression and \
        passes its value to the fused function as an argument.\n\n\
        Operands and result of an op have one type: `DOUBLE` or `REAL` (floats), or `BIGINT` or `INTEGER` (integers). \
        Narrower and unsigned integers are computed in these, and wrapped to their width after each op; casts convert \
        between all of these types and `BOOLEAN`. Dates, times, timestamps and durations are integers that are compared, \
        selected, cast to integers and subtracted; durations are also added to timestamps.\n\n\
        The bound is the largest error of floats in units in the last place (ULP), for `DOUBLE` and `REAL`, on every \
        backend: 0 means exact, 0.5 correctly rounded. Integers are exact, and wrap around as in DataFusion. Every \
        backend has every op for every type, the SIMD backend as vector instructions. The CUDA C is generated; it has \
        been tested on the CPU, but not on a GPU.\n\n\
        | SQL | types | bound, ULP | CUDA C |\n|---|---|---|---|\n"
        .to_owned();
    let mut row = |sql: String, op: OpInfo, templates: [Option<&str>; 2]| {
        for (types, cuda) in ["floats", "integers"].into_iter().zip(templates) {
            let Some(cuda) = cuda else { continue };
            let bound = if types == "floats" { op.ulp } else { 0.0 };
            let cuda = cuda.replace("$0", "x").replace("$1", "y").replace('@', "").replace('|', "\\|");
            page += &format!("| `{sql}` | {types} | {bound} | `{cuda}` |\n");
        }
    };
    let both = [ScalarType::F64, ScalarType::I64];
    for &op in Unary::ALL {
        let name = op.info().name;
        let sql = if name == "-" { "-x".to_owned() } else { format!("{name}(x)") };
        row(sql, op.info(), both.map(|one| unary_template(op, one)));
    }
    for &op in Binary::ALL {
        let name = op.info().name.replace('|', "\\|");
        let sign = !name.starts_with(char::is_alphabetic);
        let sql = if sign { format!("x {name} y") } else { format!("{name}(x, y)") };
        row(sql, op.info(), both.map(|one| binary_template(op, one)));
    }
    page + "\n\
        Composed of these ops, with the semantics of DataFusion: `log(x)` and `log(base, x)` (`log10`, `log2` or a \
        quotient of two `ln`, and exact where the result is an integer), `round(x, n)`, `trunc(x, n)`, `=`, `<>`, `<`, `<=`, `>`, `>=`, `IS [NOT] DISTINCT FROM`, `BETWEEN` and `IN` lists of constants on all \
        of these types, `AND`, `OR`, `NOT`, `IS [NOT] NULL`, \
        `IS [NOT] TRUE`, `IS [NOT] FALSE`, `IS [NOT] UNKNOWN`, `CASE`, `CAST`, `TRY_CAST`, `isnan`, `iszero`, `nanvl`, `nullif`, \
        `coalesce`, `greatest`, `least`, `log3`, literals and columns.\n\n\
        Comparisons are those of DataFusion: both zeros are equal, and NaN is greater than all numbers, or less \
        than all numbers if its sign bit is set. [docs/differences.md](differences.md) lists where DataFusion's own \
        expressions, PostgreSQL and DuckDB answer otherwise. The square root of a negative number, zero raised to a negative \
        power, division of integers by zero, the quotient of the smallest integer and -1, the absolute value of the smallest \
        integer, a sum or difference of timestamps out of range, and a `CAST` of a number that the type does not have are \
        errors, but only in rows in which they are evaluated.\n\n\
        DataFusion evaluates a branch of CASE, and the right operand of AND and OR, in some rows only. Arguments \
        of a fused function are evaluated in all rows, and could fail there. A CASE, AND or OR is therefore not \
        fused if such a part contains an argument that is not a column, or, in AND and OR, an op that can fail.\n"
}

#[test]
fn the_ops_page_matches_the_op_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ops.md");
    let page = ops_page();
    if std::env::var_os("WARPFRAME_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/ops.md is out of date: run the tests with WARPFRAME_BLESS=1");
}
