//! The rows of the table: operators below each other, those that an operator reads behind lines.

use std::fmt;

use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};

use super::selection::{Selection, human_time};
use crate::command::output::text_width;

/// The columns beside the operators take at most these many characters, borders included, with numbers up to 999,999,999,999.
const OTHER_COLUMNS: usize = 42;

/// The least width of the column of operators.
const MIN_WIDTH: usize = 30;

/// The most lines that describe an operator. `EXPLAIN` shows all of them.
const MAX_LINES: usize = 4;

/// A row of the table.
#[derive(Debug, Clone)]
pub struct Row {
    pub operator: Vec<String>,
    pub rows: String,
    pub batches: String,
    pub time: String,
}

/// A row for each operator of a plan that has run, in a table that is `width` characters wide.
pub fn operator_rows(plan: &dyn ExecutionPlan, selection: &Selection, width: usize) -> Vec<Row> {
    let width = width.saturating_sub(OTHER_COLUMNS).max(MIN_WIDTH);
    let mut rows = Vec::new();
    add_rows(plan, selection, width, ["", ""].map(str::to_owned), &mut rows);
    rows
}

/// Adds the rows of an operator and those below it. The lines of the operator begin with `prefixes`, the first one with the first.
fn add_rows(
    plan: &dyn ExecutionPlan,
    selection: &Selection,
    width: usize,
    [first, rest]: [String; 2],
    rows: &mut Vec<Row>,
) {
    let children = plan.children();
    let measured = plan.metrics().map(|metrics| selection.of(metrics)).unwrap_or_default();
    // Below an operator with inputs, a line leads to the first one.
    let indent = if children.is_empty() { "   " } else { "│  " };
    // Two characters are left for the mark of a cut text.
    let room = width.saturating_sub(text_width(&rest) + text_width(indent) + 2).max(MIN_WIDTH / 2);
    let mut description = wrap(OneLine(plan).to_string().replace('\n', " ").split_inclusive(' '), room);
    if description.len() > MAX_LINES {
        description.truncate(MAX_LINES);
        description.iter_mut().skip(MAX_LINES - 1).for_each(|line| line.push_str(" …"));
    }
    let metrics = match measured.others.is_empty() {
        true => Vec::new(),
        false => {
            let text = format!("[{}]", measured.others.join(", "));
            wrap(text.split_inclusive(", "), room)
        }
    };
    let mut lines = description.into_iter().chain(metrics);
    let mut operator = vec![first + &lines.next().unwrap_or_default()];
    operator.extend(lines.map(|line| format!("{rest}{indent}{line}")));
    let number = |number: Option<usize>| number.map(|number| number.to_string()).unwrap_or_default();
    rows.push(Row {
        operator,
        rows: number(measured.rows),
        batches: number(measured.batches),
        time: measured.compute.map(|time| human_time(time as u64)).unwrap_or_default(),
    });
    let last = children.len().saturating_sub(1);
    for (position, child) in children.into_iter().enumerate() {
        let (corner, line) = if position == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        add_rows(child.as_ref(), selection, width, [corner, line].map(|part| format!("{rest}{part}")), rows);
    }
}

/// The parts of a text in lines of at most `width` characters. A part that is longer is broken, behind spaces if it has some.
fn wrap<'a>(parts: impl Iterator<Item = &'a str>, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut line_width = 0;
    let parts = parts.flat_map(|part| match text_width(part) > width {
        true => part.split_inclusive(' ').collect(),
        false => vec![part],
    });
    for part in parts {
        let part_width = text_width(part);
        if line_width + text_width(part.trim_end()) > width && line_width > 0 {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            line_width = 0;
        }
        if part_width <= width {
            line.push_str(part);
            line_width += part_width;
            continue;
        }
        for character in part.chars() {
            let character_width = text_width(character.encode_utf8(&mut [0; 4]));
            if line_width + character_width > width {
                lines.push(std::mem::take(&mut line));
                line_width = 0;
            }
            line.push(character);
            line_width += character_width;
        }
    }
    if !line.trim_end().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// The line of an operator in plans that have one line for each.
struct OneLine<'a>(&'a dyn ExecutionPlan);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as(DisplayFormatType::Default, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_have_all_characters_and_fit() {
        for text in
            ["", "abc", "one two three, four(five)", &"x".repeat(50), "数据库表数据库表 größe, é", "a  b"]
        {
            for width in 2..20 {
                let lines = wrap(text.split_inclusive(' '), width);
                let squeezed = |text: &str| text.replace(' ', "");
                assert_eq!(squeezed(&lines.concat()), squeezed(text), "{width}");
                assert!(lines.iter().all(|line| text_width(line) <= width), "{width}: {lines:?}");
            }
        }
        assert_eq!(wrap("one two, three".split_inclusive(' '), 8), ["one two,", "three"]);
        assert_eq!(wrap("a=1, b=2 x, c=3".split_inclusive(", "), 9), ["a=1,", "b=2 x,", "c=3"]);
        assert_eq!(wrap("a=one two three, b=2".split_inclusive(", "), 9), ["a=one two", "three,", "b=2"]);
    }
}
