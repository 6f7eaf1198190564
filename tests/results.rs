//! The documentation agrees with the committed measurements, the fields of the JSON report, and the op table.

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
    use warpframe::cpu::{is_binary_vectorized, is_unary_vectorized};
    use warpframe::cuda::ops::{binary_template, unary_template};
    use warpframe::ir::ops::{Binary, OpInfo, Unary};
    let mut page = "# The ops\n\n\
        The ops that fused expressions consist of. DataFusion evaluates every other part of an expression and \
        passes its value to the fused function as an argument.\n\n\
        The bound is the largest error in units in the last place (ULP), for f64 and f32, on every backend: 0 \
        means exact, 0.5 correctly rounded. Every backend has every op. For an op without vector code, the SIMD \
        backend calls the scalar function for each lane, within the fused pass. The CUDA C is generated; it has been \
        tested on the CPU, but not on a GPU.\n\n\
        | SQL | bound, ULP | interpreted | SIMD | CUDA C |\n|---|---|---|---|---|\n"
        .to_owned();
    let mut row = |sql: String, op: OpInfo, vectorized: bool, cuda: &str| {
        let simd = if vectorized { "vector" } else { "scalar" };
        let cuda = cuda.replace("$0", "x").replace("$1", "y").replace('@', "");
        page += &format!("| `{sql}` | {} | scalar | {simd} | `{cuda}` |\n", op.ulp);
    };
    for &op in Unary::ALL {
        let name = op.info().name;
        let sql = if name == "-" { "-x".to_owned() } else { format!("{name}(x)") };
        row(sql, op.info(), is_unary_vectorized(op), unary_template(op));
    }
    for &op in Binary::ALL {
        let name = op.info().name;
        let sign = !name.starts_with(char::is_alphabetic);
        let sql = if sign { format!("x {name} y") } else { format!("{name}(x, y)") };
        row(sql, op.info(), is_binary_vectorized(op), binary_template(op));
    }
    page + "\n\
        Composed of these ops, with the semantics of DataFusion: `log(x)` and `log(base, x)` (quotients of two \
        `ln`), `=`, `<>`, `<`, `<=`, `>`, `>=` and `BETWEEN` on numbers, `AND`, `OR`, `NOT`, `IS [NOT] NULL`, \
        `IS [NOT] TRUE`, `IS [NOT] FALSE`, `IS [NOT] UNKNOWN`, `CASE`, `isnan`, `nanvl`, `nullif`, `coalesce`, \
        `greatest`, `least`, `log3`, literals, and columns of integers, `REAL` and `DOUBLE`.\n\n\
        Comparisons are those of DataFusion: both zeros are equal, and NaN is greater than all numbers, or less \
        than all numbers if its sign bit is set. The square root of a negative number and zero raised to a negative \
        power are errors, but only in rows in which they are evaluated.\n\n\
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
