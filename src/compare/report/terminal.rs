//! The report as text with bars, for a terminal.

use super::describe::{describe_gpu, describe_split, describe_tool};
use super::format::{format_ms, format_ratio, group_digits};
use super::model::{ModeReport, Report, Status};

/// The length of the longest bar in characters.
const BAR_WIDTH: usize = 28;

/// The width of the column of mode names in characters.
const NAME_WIDTH: usize = 21;

/// The report as a table with fixed columns. Bars have a logarithmic scale.
pub fn table(report: &Report) -> String {
    let limit = report.limit.stream_ms;
    let slowest = report.slowest().map_or(limit, |(_, time)| time);
    let mut lines = vec![
        format!("{} over {}", report.expression, report.describe_input()),
        report.describe_machine(),
        String::new(),
        format!(
            "{:<NAME_WIDTH$} {:>7} {:>9} {:>19} {:>9} {:>7} {:>9} {:>8} {:>10} {:>8}  (logarithmic)",
            "mode",
            "threads",
            "median",
            "min - max",
            "first",
            "repeats",
            "M rows/s",
            "speed-up",
            "× parallel",
            "× limit"
        ),
    ];
    lines.extend(report.shown_modes().map(|mode| line(report, mode, limit, slowest)));
    lines.extend(report.describe_without_gpu());
    lines.push(format!(
        "{:<NAME_WIDTH$} {:>7} {:>9} {:>84}  {}",
        "(memory)",
        "",
        format_ms(limit),
        "read x, y, z, write x*y*z: a practical limit of the memory, not a bound",
        bar(limit, limit, slowest),
    ));
    lines.push(String::new());
    if let Some((slowest, _)) = report.slowest() {
        let slowest = slowest.label(report);
        lines.push(format!("speed-up: relative to {slowest}; first: the warm-up run"));
    }
    for mode in report.modes.iter().filter(|mode| mode.status == Status::Ok) {
        let ulp = mode.max_ulp.map_or(String::new(), |ulp| format!(", every row within {ulp} ULP"));
        if let Some(sum) = mode.sum {
            let label = mode.label(report);
            let size = match mode.output_bytes {
                Some(bytes) => format!(", {} bytes written", group_digits(bytes)),
                None => String::new(),
            };
            lines
                .push(format!("{label:<NAME_WIDTH$} {} rows, sum {sum}{ulp}{size}", group_digits(mode.rows)));
        }
    }
    for mode in &report.modes {
        if let Some(split) = mode.split {
            lines.push(format!("{:<NAME_WIDTH$} {}", mode.mode, describe_split(&split)));
        }
        if let Some(gpu) = mode.gpu {
            lines.push(format!("{:<NAME_WIDTH$} {}", mode.label(report), describe_gpu(&gpu)));
        }
        if let Some(tool) = describe_tool(mode, report.rows) {
            lines.push(format!("{:<NAME_WIDTH$} {tool}", mode.mode));
        }
    }
    lines.join("\n") + "\n"
}

fn line(report: &Report, mode: &ModeReport, limit: f64, slowest: f64) -> String {
    let label = mode.label(report);
    let (Some(median), Some(first), Some(min), Some(max), Some(rate)) =
        (mode.median_ms, mode.first_ms, mode.min_ms, mode.max_ms, mode.rows_per_s)
    else {
        let status = if mode.status == Status::Failed { "FAILED" } else { "skipped" };
        return format!("{label:<NAME_WIDTH$} {status}: {}", mode.reason.as_deref().unwrap_or_default());
    };
    format!(
        "{label:<NAME_WIDTH$} {:>7} {:>9} {:>19} {:>9} {:>7} {:>9.1} {:>8} {:>10} {:>8}  {}",
        mode.threads,
        format_ms(median),
        format!("{} - {}", format_ms(min), format_ms(max)),
        format_ms(first),
        mode.repeats,
        rate / 1e6,
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
