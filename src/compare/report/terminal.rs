//! The report as text with bars, for a terminal.

use super::describe::{describe_gpu, describe_split, describe_tool};
use super::format::{format_ms, format_ratio, wrap};
use super::model::{ModeReport, Report, Status};
use crate::counts::group_digits;

/// The length of the longest bar in characters.
const BAR_WIDTH: usize = 13;

/// The width of the column of mode names in characters.
const NAME_WIDTH: usize = 21;

/// The report as a table with fixed columns. Bars have a logarithmic scale. Lines have at most 100 characters, but for reasons that
/// modes were skipped.
pub fn table(report: &Report) -> String {
    let limit = report.limit.stream_ms;
    let slowest = report.slowest().map_or(limit, |(_, time)| time);
    let mut lines = wrap(&format!("{} over {}", report.expression, report.describe_input()), 0);
    lines.extend(wrap(&report.describe_machine(), 0));
    lines.push(String::new());
    lines.push(format!(
        "{:<NAME_WIDTH$} {:>7} {:>9} {:>17} {:>8} {:>10} {:>7}  log. scale",
        "mode", "threads", "median", "min - max", "speed-up", "× parallel", "× limit"
    ));
    lines.extend(report.shown_modes().map(|mode| line(report, mode, limit, slowest)));
    lines.extend(report.describe_without_gpu());
    lines.push(format!(
        "{:<NAME_WIDTH$} {:>7} {:>9} {:>45}  {}",
        "(memory)",
        "",
        format_ms(limit),
        "",
        bar(limit, limit, slowest),
    ));
    lines.push(String::new());
    let mut notes = Vec::new();
    if let Some((slowest, _)) = report.slowest() {
        notes.push(format!("speed-up: relative to {}", slowest.label(report)));
    }
    notes.push(
        "(memory): reading x, y, z and writing x*y*z, a practical limit of the memory, not a bound"
            .to_owned(),
    );
    lines.extend(notes.iter().flat_map(|note| wrap(note, 2)));
    for mode in report.modes.iter().filter(|mode| mode.status == Status::Ok) {
        let ulp = mode.max_ulp.map_or(String::new(), |ulp| format!(", every row within {ulp} ULP"));
        if let Some(sum) = mode.sum {
            let rows = match mode.rows == report.rows {
                true => String::new(),
                false => format!("{} rows, ", group_digits(mode.rows)),
            };
            let size = match mode.output_bytes {
                Some(bytes) => format!(", {} bytes written", group_digits(bytes)),
                None => String::new(),
            };
            lines.extend(about(&mode.label(report), &format!("{rows}sum {sum}{ulp}{size}")));
        }
    }
    for mode in &report.modes {
        if let Some(split) = mode.split {
            lines.extend(about(&mode.mode, &describe_split(&split)));
        }
        if let Some(gpu) = mode.gpu {
            lines.extend(about(&mode.label(report), &describe_gpu(&gpu)));
        }
        if let Some(tool) = describe_tool(mode, report.rows) {
            lines.extend(about(&mode.mode, &tool));
        }
    }
    lines.join("\n") + "\n"
}

/// A text about a mode, on several lines if it is long.
fn about(mode: &str, text: &str) -> Vec<String> {
    wrap(&format!("{mode:<NAME_WIDTH$} {text}"), NAME_WIDTH + 1)
}

fn line(report: &Report, mode: &ModeReport, limit: f64, slowest: f64) -> String {
    let label = mode.label(report);
    let (Some(median), Some(min), Some(max)) = (mode.median_ms, mode.min_ms, mode.max_ms) else {
        let status = if mode.status == Status::Failed { "FAILED" } else { "skipped" };
        return format!("{label:<NAME_WIDTH$} {status}: {}", mode.reason.as_deref().unwrap_or_default());
    };
    format!(
        "{label:<NAME_WIDTH$} {:>7} {:>9} {:>17} {:>8} {:>10} {:>7}  {}",
        mode.threads,
        format_ms(median),
        format!("{} - {}", format_ms(min), format_ms(max)),
        format_ratio(slowest / median),
        report.ratio_to_parallel(mode).map_or("-".to_owned(), format_ratio),
        format_ratio(median / limit),
        bar(median, limit, slowest),
    )
}

/// A bar on a logarithmic scale from half the memory limit to the slowest time.
fn bar(time: f64, limit: f64, slowest: f64) -> String {
    let (low, high) = (limit.min(time) / 2.0, slowest.max(limit * 1.01));
    let fraction = (time / low).ln() / (high / low).ln();
    "█".repeat(((fraction * BAR_WIDTH as f64).round() as usize).clamp(1, BAR_WIDTH))
}
