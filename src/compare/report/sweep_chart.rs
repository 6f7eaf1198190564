//! A sweep as a line chart of time over rows on logarithmic axes, as a table and as an HTML page.

use std::fmt::Write;
use std::path::Path;

use datafusion::common::Result;

use super::format::{format_ms, items};
use super::markup::{STYLE, escape};
use super::svg::{line, rasterize, text};
use crate::compare::sweep::{Series, Sweep};
use crate::counts::group_digits;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 640.0;
const LEFT: f64 = 84.0;
/// The right end of the x axis. The names of the modes are to the right of it.
const RIGHT: f64 = 740.0;
const TOP: f64 = 90.0;
const BOTTOM: f64 = 540.0;
/// The smallest vertical distance of two labels.
const LABEL_HEIGHT: f64 = 19.0;

/// Colours of warpframe's modes, in solid lines, and of external tools, in dashed lines.
const MODE_COLOURS: [&str; 6] = ["#8a8f98", "#3b76b5", "#e07b24", "#16191d", "#7d4fa0", "#1c7a4a"];
const EXTERNAL_COLOURS: [&str; 10] = [
    "#b3261e", "#c77d9b", "#8c6d31", "#2a9d8f", "#6a7fdb", "#a05195", "#5c8a3a", "#b08d00", "#17a5c9",
    "#4b3b8f",
];

/// Writes `sweep.json`, `sweep.svg`, `sweep.png` and `sweep.html` into a folder.
///
/// # Errors
/// A file cannot be written.
pub fn write(sweep: &Sweep, folder: &Path) -> Result<()> {
    let drawing = draw(sweep);
    std::fs::write(folder.join("sweep.json"), sweep.to_json()? + "\n")?;
    std::fs::write(folder.join("sweep.svg"), &drawing)?;
    std::fs::write(folder.join("sweep.png"), rasterize(&drawing, 2.0)?)?;
    std::fs::write(folder.join("sweep.html"), page(sweep, &drawing))?;
    Ok(())
}

/// The sweep as text: a table of medians, and the findings.
pub fn table(sweep: &Sweep) -> String {
    let series = sweep.series();
    let width = series.iter().map(|series| series.mode.len()).max().unwrap_or(0) + 2;
    let mut table = format!("{:<width$}", "rows");
    for report in &sweep.reports {
        let _ = write!(table, "{:>13}", group_digits(report.rows));
    }
    table.push('\n');
    for series in &series {
        let _ = write!(table, "{:<width$}", series.mode);
        for report in &sweep.reports {
            let point = series.points.iter().find(|point| point.0 == report.rows as f64);
            let _ = write!(table, "{:>13}", point.map_or("-".to_owned(), |point| format_ms(point.1)));
        }
        table.push('\n');
    }
    table.push('\n');
    table + &items(&sweep.findings)
}

/// The sweep as SVG.
pub fn draw(sweep: &Sweep) -> String {
    let series = sweep.series();
    let points = || series.iter().flat_map(|series| series.points.iter());
    let rows = range(points().map(|point| point.0), 1.0);
    let times = range(points().map(|point| point.1), 1.4);
    let x = |value: f64| LEFT + position(value, rows) * (RIGHT - LEFT);
    let y = |value: f64| BOTTOM - position(value, times) * (BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"15\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let (title, setting) = match sweep.reports.last() {
        Some(report) => (format!("{}: time over rows", report.expression), report.describe_machine()),
        None => Default::default(),
    };
    text(&mut svg, 24.0, 36.0, "font-size=\"23\" font-weight=\"bold\" fill=\"#16191d\"", &title);
    let about =
        "both axes logarithmic; lower is faster; solid lines: warpframe, dashed lines: external tools";
    text(&mut svg, 24.0, 62.0, "fill=\"#40464d\"", about);
    let grid = "stroke=\"#d9dce0\" stroke-width=\"1\"";
    for power in decades(rows) {
        line(&mut svg, x(power), TOP, x(power), BOTTOM, grid);
        let style = "text-anchor=\"middle\" fill=\"#40464d\"";
        text(&mut svg, x(power), BOTTOM + 24.0, style, &group_digits(power as u64));
    }
    for power in decades(times) {
        line(&mut svg, LEFT, y(power), RIGHT, y(power), grid);
        let label = match power {
            power if power >= 999.0 => format!("{:.0} s", power / 1e3),
            power if power >= 0.999 => format!("{power:.0} ms"),
            power => format!("{:.0} µs", power * 1e3),
        };
        text(&mut svg, LEFT - 10.0, y(power) + 5.0, "text-anchor=\"end\" fill=\"#40464d\"", &label);
    }
    text(&mut svg, (LEFT + RIGHT) / 2.0, BOTTOM + 50.0, "text-anchor=\"middle\" fill=\"#40464d\"", "rows");
    text(&mut svg, 24.0, HEIGHT - 18.0, "font-size=\"14\" fill=\"#5c636b\"", &setting);

    let styles = styles(&series);
    for (series, style) in series.iter().zip(&styles) {
        let path: Vec<_> =
            series.points.iter().map(|(rows, time)| format!("{:.1},{:.1}", x(*rows), y(*time))).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" {style}/>", path.join(" "));
    }
    // Labels from top to bottom, without overlaps.
    let ends = series.iter().zip(&styles).filter_map(|(series, style)| {
        let (rows, time) = series.points.last()?;
        Some((x(*rows), y(*time), series, style))
    });
    let mut ends: Vec<_> = ends.collect();
    ends.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut places: Vec<f64> = ends.iter().map(|end| end.1).collect();
    for next in 1..places.len() {
        places[next] = places[next].max(places[next - 1] + LABEL_HEIGHT);
    }
    // Labels below the chart move up, and push others up.
    let mut lowest = BOTTOM + 10.0;
    for place in places.iter_mut().rev() {
        *place = place.min(lowest);
        lowest = *place - LABEL_HEIGHT;
    }
    for ((end, height, series, style), place) in ends.into_iter().zip(places) {
        let colour = style.split('"').nth(1).unwrap_or("#16191d");
        line(&mut svg, end + 3.0, height, RIGHT + 16.0, place, "stroke=\"#b8bcc2\" stroke-width=\"1\"");
        let weight = if series.is_external { "normal" } else { "bold" };
        let style = format!("fill=\"{colour}\" font-weight=\"{weight}\"");
        text(&mut svg, RIGHT + 20.0, place + 5.0, &style, &series.mode);
    }
    svg.push_str("</svg>\n");
    svg
}

/// The SVG style of each line.
fn styles(series: &[Series]) -> Vec<String> {
    let (mut ours, mut theirs) = (MODE_COLOURS.iter().cycle(), EXTERNAL_COLOURS.iter().cycle());
    let style = |series: &Series| match series.is_external {
        true => (theirs.next(), "stroke-width=\"2\" stroke-dasharray=\"6 4\""),
        false => (ours.next(), "stroke-width=\"3\""),
    };
    let styles = series.iter().map(style);
    styles.map(|(colour, style)| format!("stroke=\"{}\" {style}", colour.unwrap_or(&"#16191d"))).collect()
}

/// The minimum divided by `room` and the maximum times `room`.
fn range(values: impl Iterator<Item = f64> + Clone, room: f64) -> (f64, f64) {
    let (least, greatest) = (values.clone().fold(f64::MAX, f64::min), values.fold(0.0, f64::max));
    (least / room, (greatest * room).max(least * 1.01))
}

/// The position of a value between two others on a logarithmic scale: 0 to 1.
fn position(value: f64, (low, high): (f64, f64)) -> f64 {
    (value / low).ln() / (high / low).ln()
}

/// The powers of ten in a range.
fn decades((low, high): (f64, f64)) -> impl Iterator<Item = f64> {
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    powers.map(|power| 10f64.powi(power)).filter(move |power| (low * 0.999..=high * 1.001).contains(power))
}

/// The HTML page, which refers to no other file.
fn page(sweep: &Sweep, drawing: &str) -> String {
    let title = sweep.reports.last().map_or(String::new(), |report| escape(&report.expression));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}: time over rows</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}: time over rows</h1>\n<figure style=\"margin: 0\">\n{drawing}</figure>\n<ul>\n"
    );
    for finding in &sweep.findings {
        let _ = writeln!(html, "<li>{}</li>", escape(finding));
    }
    let _ = writeln!(html, "</ul>\n<pre>{}</pre>", escape(&table(sweep)));
    if let Some(report) = sweep.reports.last() {
        let _ = writeln!(html, "<p><code>{}</code></p>", escape(&report.command));
    }
    html.push_str("</body>\n</html>\n");
    html
}
