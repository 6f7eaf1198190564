//! The report as an HTML page: the chart, a table, the settings and explanations.

use std::fmt::Write;

use super::describe::{
    describe_gpu, describe_limit, describe_measurement, describe_split, describe_tool, describe_tools,
};
use super::format::{format_ms, format_ratio};
use super::markup::{STYLE, escape};
use super::model::{Report, Status};
use crate::counts::group_digits;

/// The HTML page, which refers to no other file. `drawing` is the chart as SVG.
pub fn page(report: &Report, drawing: &str) -> String {
    let title = escape(&report.expression);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}: warpframe comparison</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<figure style=\"margin: 0\">\n{drawing}</figure>\n<div class=\"table\">\n<table>\n\
         <tr><th>mode</th><th>threads</th><th>median</th><th>min</th><th>max</th><th>first run</th>\
         <th>repeats</th><th>M rows/s</th><th>speed-up</th><th>× parallel</th><th>× limit</th><th>sum</th><th>max ULP</th></tr>\n"
    );
    let slowest = report.slowest().map_or(f64::NAN, |(_, time)| time);
    for mode in report.shown_modes() {
        let _ = match (mode.median_ms, mode.min_ms, mode.max_ms, mode.first_ms, mode.rows_per_s) {
            (Some(median), Some(min), Some(max), Some(first), Some(rate)) => writeln!(
                html,
                "<tr><td title=\"{}\">{}</td><td>{}</td><td><b>{}</b></td><td>{}</td><td>{}</td><td>{}</td>\
                 <td>{}</td><td>{:.1}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(&mode.description),
                escape(&mode.label(report)),
                mode.threads,
                format_ms(median),
                format_ms(min),
                format_ms(max),
                format_ms(first),
                mode.repeats,
                rate / 1e6,
                format_ratio(slowest / median),
                report.ratio_to_parallel(mode).map_or("-".to_owned(), format_ratio),
                format_ratio(median / report.limit.stream_ms),
                mode.sum.map_or(String::new(), |sum| sum.to_string()),
                mode.max_ulp.map_or("-".to_owned(), |ulp| ulp.to_string()),
            ),
            _ => writeln!(
                html,
                "<tr><td>{}</td><td colspan=\"12\" class=\"{}\">{}: {}</td></tr>",
                escape(&mode.label(report)),
                if mode.status == Status::Failed { "failed" } else { "skipped" },
                if mode.status == Status::Failed { "FAILED" } else { "skipped" },
                escape(mode.reason.as_deref().unwrap_or_default()),
            ),
        };
    }
    if let Some(skipped) = report.describe_without_gpu() {
        let _ = writeln!(html, "<tr><td colspan=\"13\" class=\"skipped\">{}</td></tr>", escape(&skipped));
    }
    html.push_str("</table>\n</div>\n<dl>\n");
    for mode in &report.modes {
        if let Some(split) = &mode.split {
            let split = describe_split(split);
            let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escape(&mode.mode), escape(&split));
        }
        if let Some(gpu) = &mode.gpu {
            let gpu = describe_gpu(gpu);
            let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escape(&mode.label(report)), escape(&gpu));
        }
        if let Some(tool) = describe_tool(mode, report.rows) {
            let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", escape(&mode.mode), escape(&tool));
        }
        if let Some(bytes) = mode.output_bytes {
            let (mode, bytes) = (escape(&mode.label(report)), group_digits(bytes));
            let _ = writeln!(html, "<dt>{mode}</dt><dd>{bytes} bytes of Parquet</dd>");
        }
    }
    let facts = [
        (
            "Rows",
            format!("{} ({}), source: {}", group_digits(report.rows), report.distribution, report.source),
        ),
        ("Result", report.result.clone()),
        ("Machine", format!("{}; {}", report.describe_machine(), report.machine.os)),
        ("Memory limit", describe_limit(report)),
        ("How it was measured", describe_measurement(report)),
        (
            "Versions",
            format!(
                "warpframe {} ({}), DataFusion {}, Arrow {}",
                report.version, report.git_revision, report.libraries.datafusion, report.libraries.arrow
            ),
        ),
    ];
    let tools = describe_tools(report).map(|tools| ("External tools", tools));
    for (term, fact) in facts.into_iter().chain(tools) {
        let _ = writeln!(html, "<dt>{term}</dt><dd>{}</dd>", escape(&fact));
    }
    let _ = writeln!(html, "<dt>Command</dt><dd><code>{}</code></dd>", escape(&report.command));
    html.push_str("</dl>\n</body>\n</html>\n");
    html
}
