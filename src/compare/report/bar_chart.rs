//! The report as a bar chart: one horizontal bar per mode on a logarithmic time axis, and the memory limit as a
//! reference line.

use std::fmt::Write;

use super::format::{format_ms, format_ratio};
use super::model::{ModeReport, Report, Status};
use super::svg::{line, text};

const WIDTH: f64 = 960.0;
/// The left end of the time axis. The names of the modes are to the left of it.
const AXIS_LEFT: f64 = 232.0;
/// The right end of the time axis. The label of the longest bar is to the right of it.
const AXIS_RIGHT: f64 = 810.0;
const TOP: f64 = 108.0;
const ROW_HEIGHT: f64 = 54.0;
const BAR_HEIGHT: f64 = 30.0;

/// The colours differ in lightness too, so that they can be told apart without colour.
const INTERPRETED: &str = "#8a8f98";
const ONE_THREAD: &str = "#3b76b5";
const ALL_THREADS: &str = "#e07b24";
const CLUSTER: &str = "#7d4fa0";
const GPU: &str = "#5b9a2f";
const EXTERNAL: &str = "#d98ba3";
const LIMIT: &str = "#1c7a4a";

/// The report as SVG.
pub fn draw(report: &Report) -> String {
    let modes: Vec<_> = report.shown_modes().collect();
    let skipped = report.describe_without_gpu();
    let bottom = TOP + modes.len() as f64 * ROW_HEIGHT;
    let height = bottom + if skipped.is_some() { 118.0 } else { 96.0 };
    let scale = Scale::new(report);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"16\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    text(
        &mut svg,
        24.0,
        36.0,
        "font-size=\"23\" font-weight=\"bold\" fill=\"#16191d\"",
        &truncate(&report.expression),
    );
    text(
        &mut svg,
        24.0,
        62.0,
        "fill=\"#40464d\"",
        &format!("{}; shorter is faster", report.describe_input()),
    );

    for (time, label) in scale.ticks() {
        let x = scale.x(time);
        line(&mut svg, x, TOP - 10.0, x, bottom, "stroke=\"#d9dce0\" stroke-width=\"1\"");
        text(&mut svg, x, bottom + 22.0, "text-anchor=\"middle\" fill=\"#40464d\"", &label);
    }
    let slowest = report.slowest().map(|(_, time)| time);
    let middle = |position: usize| TOP + (position as f64 + 0.5) * ROW_HEIGHT;
    for (position, mode) in modes.iter().enumerate() {
        draw_mode(&mut svg, (mode, &mode.label(report)), middle(position), &scale);
    }

    let limit = scale.x(report.limit.stream_ms);
    let dashes = format!("stroke=\"{LIMIT}\" stroke-width=\"2.5\" stroke-dasharray=\"7 5\"");
    line(&mut svg, limit, TOP - 14.0, limit, bottom + 2.0, &dashes);
    let label = format!("memory limit {}", format_ms(report.limit.stream_ms));
    let style = format!("fill=\"{LIMIT}\" font-weight=\"bold\" text-anchor=\"middle\"");
    text(&mut svg, limit.max(AXIS_LEFT + 40.0), TOP - 20.0, &style, &label);
    for (position, mode) in modes.iter().enumerate() {
        write_result(&mut svg, mode, middle(position), &scale, slowest);
    }

    let setting =
        format!("{}; warpframe {} ({})", report.describe_machine(), report.version, report.git_revision);
    text(&mut svg, 24.0, bottom + 54.0, "font-size=\"14\" fill=\"#5c636b\"", &setting);
    if let Some(skipped) = skipped {
        text(&mut svg, 24.0, bottom + 98.0, "font-size=\"13\" fill=\"#5c636b\"", &skipped);
    }
    let others = match report.modes.iter().any(ModeReport::is_external) {
        true => "rose: external tools; ",
        false => "",
    };
    let note =
        format!("{others}median and range of the timed runs; logarithmic axis; × relative to the slowest");
    text(&mut svg, 24.0, bottom + 76.0, "font-size=\"14\" fill=\"#5c636b\"", &note);
    svg.push_str("</svg>\n");
    svg
}

/// Draws the name of a mode, and its bar if it has a time.
fn draw_mode(svg: &mut String, (mode, label): (&ModeReport, &str), middle: f64, scale: &Scale) {
    let threads = match mode.threads {
        0 => String::new(),
        1 => ", 1 thread".to_owned(),
        threads => format!(", {threads} threads"),
    };
    let name = "text-anchor=\"end\" font-weight=\"bold\" fill=\"#16191d\"";
    text(svg, AXIS_LEFT - 12.0, middle - 3.0, name, label);
    let about = "text-anchor=\"end\" font-size=\"12.5\" fill=\"#5c636b\"";
    let short = &mode.description;
    text(svg, AXIS_LEFT - 12.0, middle + 14.0, about, &format!("{short}{threads}"));

    let (Some(median), Some(min), Some(max)) = (mode.median_ms, mode.min_ms, mode.max_ms) else { return };
    let colour = match (mode.mode.as_str(), mode.threads) {
        _ if mode.is_external() => EXTERNAL,
        ("interpreted", _) => INTERPRETED,
        (name, _) if name.starts_with("cluster") => CLUSTER,
        (name, _) if name.starts_with("cuda") => GPU,
        (_, 1) => ONE_THREAD,
        _ => ALL_THREADS,
    };
    let width = scale.x(median) - AXIS_LEFT;
    let _ = writeln!(
        svg,
        "<rect x=\"{AXIS_LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\" fill=\"{colour}\"/>",
        middle - BAR_HEIGHT / 2.0
    );
    let whisker = "stroke=\"#16191d\" stroke-width=\"1.6\"";
    let (left, right) = (scale.x(min), scale.x(max));
    line(svg, left, middle, right, middle, whisker);
    line(svg, left, middle - 5.0, left, middle + 5.0, whisker);
    line(svg, right, middle - 5.0, right, middle + 5.0, whisker);
}

/// Writes the time of a mode, or why it has none, on top of the grid and the reference line.
fn write_result(svg: &mut String, mode: &ModeReport, middle: f64, scale: &Scale, slowest: Option<f64>) {
    // A white outline keeps the text legible on the lines.
    const HALO: &str = "stroke=\"#ffffff\" stroke-width=\"4\" paint-order=\"stroke\" xml:space=\"preserve\"";
    let (Some(median), Some(max)) = (mode.median_ms, mode.max_ms) else {
        let (word, colour) = match mode.status {
            Status::Failed => ("FAILED", "#b3261e"),
            _ => ("skipped", "#5c636b"),
        };
        let reason = mode.reason.as_deref().unwrap_or_default();
        let style = format!("fill=\"{colour}\" font-size=\"14\" {HALO}");
        text(svg, AXIS_LEFT + 8.0, middle + 5.0, &style, &format!("{word}: {reason}"));
        return;
    };
    let ratio = match slowest {
        Some(slowest) if slowest > median => format!("   {}", format_ratio(slowest / median)),
        _ => String::new(),
    };
    let style = format!("fill=\"#16191d\" {HALO}");
    text(svg, scale.x(max) + 10.0, middle + 6.0, &style, &format!("{}{ratio}", format_ms(median)));
}

/// The logarithmic time axis.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// From half the shortest time to the longest.
    fn new(report: &Report) -> Self {
        let limit = report.limit.stream_ms;
        let times = || report.modes.iter().flat_map(|mode| [mode.min_ms, mode.max_ms]).flatten();
        let shortest = times().fold(limit, f64::min);
        let longest = times().fold(limit, f64::max);
        let low = shortest / 2.0;
        Self { low, high: longest.max(low * 10.0) }
    }

    fn x(&self, time: f64) -> f64 {
        AXIS_LEFT + (time / self.low).ln() / (self.high / self.low).ln() * (AXIS_RIGHT - AXIS_LEFT)
    }

    /// Powers of ten; on short axes also 2 and 5 times these.
    fn ticks(&self) -> impl Iterator<Item = (f64, String)> + '_ {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = if decades > 2.2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let first = self.low.log10().floor() as i32;
        (first..=self.high.log10().ceil() as i32)
            .flat_map(move |power| steps.iter().map(move |step| step * 10f64.powi(power)))
            .filter(|time| (self.low..=self.high).contains(time))
            .map(|time| {
                let label = match time {
                    time if time >= 999.5 => format!("{:.0} s", time / 1e3),
                    time if time >= 0.9995 => format!("{time:.0} ms"),
                    time => format!("{:.0} µs", time * 1e3),
                };
                (time, label)
            })
    }
}

/// Shortens an expression to the width of the title.
fn truncate(expression: &str) -> String {
    const MAX_CHARS: usize = 58;
    if expression.chars().count() <= MAX_CHARS {
        return expression.to_owned();
    }
    expression.chars().take(MAX_CHARS - 1).chain(['…']).collect()
}
