//! A suite as a table of bars: formulas by tools, for each kind of result and condition.

use std::fmt::Write;

use super::model::Status;
use super::svg::{line, text};
use crate::compare::mode::Mode;
use crate::compare::suite::{CaseReport, SuiteReport, SuiteTool};
use crate::counts::group_digits;

const MARGIN: f64 = 24.0;
/// The width of the names of formulas.
const NAME_WIDTH: f64 = 140.0;
const CELL_WIDTH: f64 = 84.0;
const ROW_HEIGHT: f64 = 23.0;
const BAR_HEIGHT: f64 = 18.0;
/// The height of the names of the tools above each group.
const HEAD_HEIGHT: f64 = 70.0;
const TOP: f64 = 84.0;
/// A bar of the full width of a cell is at least this many times as long as that of the fastest tool.
const FULL_BAR: f64 = 8.0;

const ONE_THREAD: &str = "#a9c8e8";
const ALL_THREADS: &str = "#f6bd83";
const EXTERNAL: &str = "#eadfe3";
const FASTER: &str = "#f0839e";
const DARK: &str = "#16191d";
const GREY: &str = "#5c636b";

/// The suite as SVG.
pub fn draw(suite: &SuiteReport) -> String {
    let tools: Vec<_> = suite.participants().collect();
    let groups = suite.groups();
    // The last row of a group has the means.
    let heights: f64 =
        groups.iter().map(|group| HEAD_HEIGHT + (group.len() + 1) as f64 * ROW_HEIGHT + 14.0).sum();
    let left_out = describe_left_out(suite);
    let width = 2.0 * MARGIN + NAME_WIDTH + tools.len() as f64 * CELL_WIDTH;
    let width = width.max(720.0);
    let height = TOP + heights + 74.0 + left_out.len() as f64 * 20.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let title = format!("font-size=\"23\" font-weight=\"bold\" fill=\"{DARK}\"");
    let formulas = groups.iter().map(Vec::len).max().unwrap_or(0);
    text(
        &mut svg,
        MARGIN,
        36.0,
        &title,
        &format!("{formulas} formulas over {} rows", group_digits(suite.rows)),
    );
    let about = "milliseconds, medians of interleaved runs; shorter is faster; bars are relative to the fastest of their row";
    text(&mut svg, MARGIN, 62.0, "font-size=\"15\" fill=\"#40464d\"", about);
    let mut top = TOP;
    for group in &groups {
        top = draw_group(&mut svg, group, &tools, top, width);
    }
    let small = format!("font-size=\"13\" fill=\"{GREY}\"");
    let mut note = |content: &str| {
        text(&mut svg, MARGIN, top + 14.0, &small, content);
        top += 20.0;
    };
    note(
        "blue: one thread of warpframe; orange: all its threads; rose: external tools, dark where faster than parallel; \
         the tip: 8 times the fastest or more",
    );
    note(&format!(
        "{}; {} threads; warpframe {} ({})",
        suite.describe_machine(),
        suite.threads,
        suite.version,
        suite.git_revision
    ));
    left_out.iter().for_each(|sentence| note(sentence));
    svg.push_str("</svg>\n");
    svg
}

/// The tools that do not take part, with the reasons: a line for each reason.
fn describe_left_out(suite: &SuiteReport) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for tool in suite.tools.iter().filter(|tool| tool.status != Status::Ok) {
        let reason = tool.reason.as_deref().unwrap_or_default();
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(&tool.name),
            None => reasons.push((reason, vec![&tool.name])),
        }
    }
    reasons.iter().map(|(reason, names)| format!("not shown: {} ({reason})", names.join(", "))).collect()
}

/// Draws a group of cases, and returns where the next one begins.
fn draw_group(svg: &mut String, group: &[&CaseReport], tools: &[&SuiteTool], top: f64, width: f64) -> f64 {
    let Some(first) = group.first() else { return top };
    let cell = |position: usize| MARGIN + NAME_WIDTH + position as f64 * CELL_WIDTH;
    let heading = format!("font-size=\"16\" font-weight=\"bold\" fill=\"{DARK}\"");
    let condition = first.filter.as_ref().map_or(String::new(), |filter| format!(" ({filter})"));
    text(svg, MARGIN, top + 18.0, &heading, &format!("{}{condition}", first.describe()));
    for (position, tool) in tools.iter().enumerate() {
        let weight = if tool.is_external { "normal" } else { "bold" };
        let style = format!("font-size=\"11.5\" font-weight=\"{weight}\" fill=\"{DARK}\"");
        // A line for each part of a name, the last one at the bottom.
        for (above, part) in tool.name.split_inclusive('-').rev().enumerate() {
            let baseline = top + HEAD_HEIGHT - 9.0 - above as f64 * 13.0;
            text(svg, cell(position) + 2.0, baseline, &style, part);
        }
    }
    let body = top + HEAD_HEIGHT;
    line(svg, MARGIN, body - 3.0, width - MARGIN, body - 3.0, "stroke=\"#b8bcc2\" stroke-width=\"1\"");
    for (row, case) in group.iter().enumerate() {
        let middle = body + (row as f64 + 0.5) * ROW_HEIGHT;
        let style = format!("fill=\"{DARK}\"");
        text(svg, MARGIN, middle + 4.5, &style, &case.formula);
        let fastest =
            tools.iter().filter_map(|tool| case.median_of(&tool.name)).fold(f64::INFINITY, f64::min);
        for (position, tool) in tools.iter().enumerate() {
            draw_cell(svg, case, tool, fastest, (cell(position), middle));
        }
    }
    let middle = body + (group.len() as f64 + 0.5) * ROW_HEIGHT;
    line(svg, MARGIN, middle - 11.0, width - MARGIN, middle - 11.0, "stroke=\"#d9dce0\" stroke-width=\"1\"");
    text(svg, MARGIN, middle + 4.5, &format!("fill=\"{GREY}\""), "mean, × parallel");
    for (position, tool) in tools.iter().enumerate() {
        let Some(mean) = mean_ratio(group, &tool.name) else { continue };
        text(svg, cell(position) + 4.0, middle + 4.5, &format!("fill=\"{GREY}\""), &format!("{mean:.2}×"));
    }
    middle + ROW_HEIGHT / 2.0 + 14.0
}

/// The geometric mean of the ratios of a tool's times to those of `parallel`; `None` without formulas that both have evaluated.
pub fn mean_ratio(group: &[&CaseReport], tool: &str) -> Option<f64> {
    let ratio = |case: &&CaseReport| Some(case.median_of(tool)? / case.median_of(Mode::Parallel.name())?);
    let ratios: Vec<_> = group.iter().filter_map(ratio).collect();
    crate::compare::suite::geometric_mean(&ratios)
}

fn draw_cell(
    svg: &mut String,
    case: &CaseReport,
    tool: &SuiteTool,
    fastest: f64,
    (left, middle): (f64, f64),
) {
    let measurement = case.of_tool(&tool.name);
    let Some(median) = measurement.and_then(|measurement| measurement.median_ms) else {
        let failed = measurement.is_some_and(|measurement| measurement.status == Status::Failed);
        let (word, colour) = if failed { ("failed", "#b3261e") } else { ("–", GREY) };
        text(svg, left + 4.0, middle + 4.5, &format!("fill=\"{colour}\""), word);
        return;
    };
    let parallel = case.median_of(Mode::Parallel.name());
    let is_faster = tool.is_external && parallel.is_some_and(|parallel| median < parallel);
    let colour = match tool.threads {
        _ if is_faster => FASTER,
        _ if tool.is_external => EXTERNAL,
        1 => ONE_THREAD,
        _ => ALL_THREADS,
    };
    let full = CELL_WIDTH - 8.0;
    let share = median / fastest / FULL_BAR;
    let (upper, bar_width) = (middle - BAR_HEIGHT / 2.0, full * share.min(1.0));
    let lower = middle + BAR_HEIGHT / 2.0;
    let right = left + bar_width;
    let _ = match share >= 1.0 {
        false => writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{upper:.1}\" width=\"{bar_width:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>"
        ),
        // A bar that is cut off ends in a tip.
        true => writeln!(
            svg,
            "<polygon points=\"{left:.1},{upper:.1} {:.1},{upper:.1} {right:.1},{middle:.1} {:.1},{lower:.1} \
             {left:.1},{lower:.1}\" fill=\"{colour}\"/>",
            right - 7.0,
            right - 7.0
        ),
    };
    let weight = if median <= fastest { "bold" } else { "normal" };
    let style = format!("fill=\"{DARK}\" font-weight=\"{weight}\"");
    text(svg, left + 4.0, middle + 4.5, &style, &format_median(median));
}

/// Milliseconds with about three significant digits, without the unit.
pub fn format_median(ms: f64) -> String {
    match ms {
        ms if ms >= 99.95 => format!("{ms:.0}"),
        ms if ms >= 9.995 => format!("{ms:.1}"),
        ms => format!("{ms:.2}"),
    }
}
