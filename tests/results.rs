//! The README's table is that of the committed report, and the report's form is documented.

#[test]
fn the_readme_shows_the_committed_measurement() {
    let readme = include_str!("../README.md");
    let report: serde_json::Value =
        serde_json::from_str(include_str!("../benches/results/cpu-2026-11-22.json")).unwrap();
    for mode in report["modes"].as_array().unwrap() {
        let number = |field: &str| mode[field].as_f64().unwrap();
        let row = format!(
            "| `{}` | {} | {:.1} | {:.1} – {:.1} |",
            mode["mode"].as_str().unwrap(),
            mode["threads"],
            number("median_ms"),
            number("min_ms"),
            number("max_ms"),
        );
        assert!(readme.contains(&row), "the README has no row '{row}'");
    }
}

#[test]
fn every_field_of_the_report_is_documented() {
    let documentation = include_str!("../docs/report.md");
    let report: serde_json::Value =
        serde_json::from_str(include_str!("../benches/results/cpu-2026-11-22.json")).unwrap();
    for object in [&report, &report["libraries"], &report["machine"], &report["limit"], &report["modes"][0]] {
        for field in object.as_object().unwrap().keys() {
            assert!(documentation.contains(&format!("`{field}`")), "docs/report.md has no field '{field}'");
        }
    }
}
