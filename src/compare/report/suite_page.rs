//! A suite as text, as an HTML page, and as the files of a report.

use std::fmt::Write;
use std::path::Path;

use datafusion::common::Result;

use super::format::{WIDTH, items};
use super::markup::{STYLE, escape};
use super::model::Status;
use super::suite_chart::{draw, format_median, mean_ratio};
use super::svg::rasterize;
use crate::compare::suite::{CaseReport, SuiteReport, SuiteTool};

/// Writes `suite.json`, `suite.svg`, `suite.png` and `suite.html` into a folder.
///
/// # Errors
/// A file cannot be written.
pub fn write(suite: &SuiteReport, folder: &Path) -> Result<()> {
    let drawing = draw(suite);
    std::fs::write(folder.join("suite.json"), suite.to_json()? + "\n")?;
    std::fs::write(folder.join("suite.svg"), &drawing)?;
    std::fs::write(folder.join("suite.png"), picture(suite)?)?;
    std::fs::write(folder.join("suite.html"), page(suite, &drawing))?;
    Ok(())
}

/// The drawing as a PNG.
///
/// # Errors
/// The drawing cannot be rendered.
pub fn picture(suite: &SuiteReport) -> Result<Vec<u8>> {
    rasterize(&draw(suite), 1.5)
}

/// The suite as text: a table of medians in milliseconds for each kind of result and condition, and the findings.
pub fn table(suite: &SuiteReport) -> String {
    let tools: Vec<_> = suite.participants().collect();
    let mut table =
        format!("{}; {} threads; medians in milliseconds\n", suite.describe_machine(), suite.threads);
    for group in suite.groups() {
        let Some(first) = group.first() else { continue };
        for tools in blocks(&tools) {
            let _ = write!(table, "\n{:<NAME_WIDTH$}", first.describe());
            for tool in tools {
                let _ = write!(table, " {:>width$}", tool.name, width = width(tool));
            }
            table.push('\n');
            for case in &group {
                let _ = write!(table, "{:<NAME_WIDTH$}", case.formula);
                for tool in tools {
                    let _ = write!(table, " {:>width$}", cell(case, &tool.name), width = width(tool));
                }
                table.push('\n');
            }
            let _ = write!(table, "{:<NAME_WIDTH$}", "mean, × parallel");
            for tool in tools {
                let mean =
                    mean_ratio(&group, &tool.name).map_or("-".to_owned(), |mean| format!("{mean:.2}×"));
                let _ = write!(table, " {mean:>width$}", width = width(tool));
            }
            table.push('\n');
        }
    }
    table.push('\n');
    table + &items(suite.findings.iter().chain(&reasons(suite)))
}

/// The width of the first column in characters.
const NAME_WIDTH: usize = 30;

/// The tools that fit beside each other into the width of a terminal.
fn blocks<'a>(tools: &'a [&'a SuiteTool]) -> Vec<&'a [&'a SuiteTool]> {
    let (mut blocks, mut start, mut used) = (Vec::new(), 0, NAME_WIDTH);
    for (position, tool) in tools.iter().enumerate() {
        used += 1 + width(tool);
        if used > WIDTH && position > start {
            blocks.push(&tools[start..position]);
            (start, used) = (position, NAME_WIDTH + 1 + width(tool));
        }
    }
    blocks.push(&tools[start..]);
    blocks
}

/// The width of a tool's column in characters.
fn width(tool: &SuiteTool) -> usize {
    tool.name.len().max(7)
}

/// The median of a tool, or whether it failed.
fn cell(case: &CaseReport, tool: &str) -> String {
    match case.of_tool(tool) {
        Some(measurement) => match (measurement.median_ms, measurement.status) {
            (Some(median), _) => format_median(median),
            (None, Status::Failed) => "FAILED".to_owned(),
            (None, _) => "-".to_owned(),
        },
        None => "-".to_owned(),
    }
}

/// Why tools were skipped or failed: tools that do not take part, and single cases.
fn reasons(suite: &SuiteReport) -> Vec<String> {
    let word = |status: Status| if status == Status::Failed { "FAILED" } else { "skipped" };
    let left_out = suite.tools.iter().filter(|tool| tool.status != Status::Ok);
    let left_out = left_out.map(|tool| {
        format!("`{}` {}: {}.", tool.name, word(tool.status), tool.reason.as_deref().unwrap_or_default())
    });
    let cases = suite.cases.iter().flat_map(|case| {
        let without_time = case.measurements.iter().filter(|one| one.status != Status::Ok);
        without_time.map(move |one| {
            let reason = one.reason.as_deref().unwrap_or_default();
            let word = word(one.status);
            format!("`{}` {word} in {}, {}: {reason}.", one.tool, case.formula, case.describe())
        })
    });
    left_out.chain(cases).collect()
}

/// The HTML page, which refers to no other file.
fn page(suite: &SuiteReport, drawing: &str) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>warpframe suite</title>\n<style>\n{STYLE}body {{ max-width: 1320px }}\n</style>\n</head>\n<body>\n\
         <h1>Formulas by tools</h1>\n<figure style=\"margin: 0\">\n{drawing}</figure>\n<ul>\n"
    );
    for finding in suite.findings.iter().chain(&reasons(suite)) {
        let _ = writeln!(html, "<li>{}</li>", escape(finding));
    }
    html.push_str("</ul>\n<h2>Formulas</h2>\n<dl>\n");
    let mut named: Vec<&str> = Vec::new();
    for case in &suite.cases {
        if !named.contains(&case.formula.as_str()) {
            named.push(&case.formula);
            let (name, sql) = (escape(&case.formula), escape(&case.expression));
            let _ = writeln!(html, "<dt>{name}</dt><dd><code>{sql}</code></dd>");
        }
    }
    html.push_str("</dl>\n<h2>Tools</h2>\n<dl>\n");
    for tool in suite.participants() {
        let version = tool.version.as_deref().map_or(String::new(), |version| format!(", {version}"));
        let threads =
            if tool.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", tool.threads) };
        let about = format!("{}, {threads}{version}", tool.description);
        let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escape(&tool.name), escape(&about));
    }
    let _ = writeln!(
        html,
        "</dl>\n<h2>How it was measured</h2>\n<p>x, y, z and w are independent uniform numbers in (0, 100], of seed {}. All \
         tools have them in memory, each in its own format, before the clock starts. They take turns: in each of the {} rounds \
         of a case, each tool runs once. A run to arrays ends with an array in memory. Conditions are on w. The result of the \
         last run of each tool is verified: the number of rows, every row in order, and the sum. {}; warpframe {} ({}), \
         DataFusion {}, Arrow {}.</p>\n<p><code>{}</code></p>\n</body>\n</html>",
        suite.seed,
        suite.repeat,
        escape(&format!("{}; {}", suite.describe_machine(), suite.machine.os)),
        suite.version,
        suite.git_revision,
        suite.libraries.datafusion,
        suite.libraries.arrow,
        escape(&suite.command)
    );
    html
}
