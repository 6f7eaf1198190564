//! The columns of a text table: their widths, and which of them a terminal has room for.

use unicode_width::UnicodeWidthStr;

/// The width to which columns of a table that is too wide are cut.
const MIN_WIDTH: usize = 12;

/// What stands for the rest of a cell, for columns and for rows that are not shown.
pub const ELLIPSIS: &str = "…";

/// A column of the table on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The column of this number, and its width.
    Column(usize, usize),
    /// The place of columns that are not shown.
    Gap,
}

/// The columns of a table whose cells have these widths. With `limit`, the width of the screen, the widest columns are made
/// narrower, and if that is not enough, columns in the middle are left out. Each column takes three characters more than its
/// width, and the table one more.
pub fn lay_out(widths: &[usize], limit: Option<usize>) -> Vec<Shown> {
    let all = |cap: usize| {
        widths.iter().enumerate().map(move |(number, width)| Shown::Column(number, (*width).min(cap)))
    };
    let Some(limit) = limit.filter(|limit| total(all(usize::MAX)) > *limit) else {
        return all(usize::MAX).collect();
    };
    let widest = widths.iter().copied().max().unwrap_or(0);
    if let Some(cap) = (MIN_WIDTH..widest).rev().find(|cap| total(all(*cap)) <= limit) {
        return all(cap).collect();
    }
    let columns: Vec<_> = all(MIN_WIDTH).collect();
    if columns.len() == 1 {
        return columns;
    }
    // The first and the last columns, one more at the beginning if their number is odd; never less than one.
    let mut shown = columns.len().saturating_sub(1);
    loop {
        let (first, last) = (shown.div_ceil(2), shown / 2);
        let with_gap = || {
            let last = &columns[columns.len() - last..];
            columns[..first].iter().copied().chain([Shown::Gap]).chain(last.iter().copied())
        };
        if shown <= 1 || total(with_gap()) <= limit {
            return with_gap().collect();
        }
        shown -= 1;
    }
}

/// The width of a table.
fn total(columns: impl Iterator<Item = Shown>) -> usize {
    columns.map(|column| column.width() + 3).sum::<usize>() + 1
}

impl Shown {
    /// The width of the column.
    pub fn width(self) -> usize {
        match self {
            Self::Column(_, width) => width,
            Self::Gap => 1,
        }
    }
}

/// The number of places that a text takes on a terminal: CJK characters and emoji take two, combining marks none.
pub fn text_width(text: &str) -> usize {
    text.width()
}

/// The text, or its beginning and `…` if it is wider.
pub fn cut(text: &str, width: usize) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        // The width of a text is not the sum of those of its characters.
        if text_width(&kept) + 1 > width {
            kept.pop();
            break;
        }
    }
    kept + ELLIPSIS
}

/// The text in lines that are at most `width` characters wide, broken behind spaces where there are some. The lines behind the
/// first one are indented by two more characters than that.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let spaces = text.chars().take_while(|character| *character == ' ').count();
    let indent = (spaces + 2).min(width / 3);
    let mut lines = Vec::new();
    let mut line = String::new();
    for character in text.chars() {
        line.push(character);
        if text_width(&line) <= width {
            continue;
        }
        line.pop();
        // Not so early that the line is nearly empty.
        let space =
            line.rfind(' ').map(|space| space + 1).filter(|end| text_width(&line[..*end]) > width / 2);
        let rest = line.split_off(space.filter(|_| character != ' ').unwrap_or(line.len()));
        lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        line += &rest;
        if character != ' ' {
            line.push(character);
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_fit_keep_their_widths() {
        assert_eq!(lay_out(&[3, 40], None), [Shown::Column(0, 3), Shown::Column(1, 40)]);
        assert_eq!(lay_out(&[3, 40], Some(50)), [Shown::Column(0, 3), Shown::Column(1, 40)]);
        assert_eq!(lay_out(&[3, 40], Some(49)), [Shown::Column(0, 3), Shown::Column(1, 39)]);
    }

    #[test]
    fn columns_in_the_middle_are_left_out() {
        let shown = lay_out(&[20; 10], Some(80));
        assert_eq!(
            shown,
            [
                Shown::Column(0, 12),
                Shown::Column(1, 12),
                Shown::Column(2, 12),
                Shown::Gap,
                Shown::Column(8, 12),
                Shown::Column(9, 12)
            ]
        );
    }

    #[test]
    fn every_layout_fits_or_shows_one_column() {
        for columns in 1..40 {
            for widest in 1..40 {
                let widths: Vec<_> = (0..columns).map(|column| 1 + column * 7 % widest).collect();
                for limit in 1..120 {
                    let shown = lay_out(&widths, Some(limit));
                    let whole = shown.iter().filter(|column| **column != Shown::Gap).count();
                    let width = total(shown.iter().copied());
                    assert!(width <= limit || whole == 1, "{widths:?} {limit}: {shown:?}");
                    assert!(whole >= 1, "{widths:?} {limit}");
                    assert_eq!(shown.contains(&Shown::Gap), whole < columns, "{widths:?} {limit}: {shown:?}");
                }
            }
        }
    }

    #[test]
    fn wrapped_lines_fit_and_have_all_characters() {
        for text in ["", "abc", "  one two three, four(five)", &"x".repeat(50), "数据库表数据库表 größe, é"]
        {
            for width in 4..30 {
                let lines = wrap(text, width);
                let squeezed = |text: &str| text.replace(' ', "");
                assert_eq!(squeezed(&lines.concat()), squeezed(text), "{width}");
                assert!(lines.iter().all(|line| text_width(line) <= width), "{width}: {lines:?}");
            }
        }
        assert_eq!(wrap("  one two, three", 12), ["  one two, ", "    three"]);
        assert_eq!(wrap("abcdefghij", 6), ["abcdef", "  ghij"]);
    }

    #[test]
    fn texts_are_cut_at_the_width_of_their_characters() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("数据库表", 8), "数据库表");
        assert_eq!(cut("数据库表", 7), "数据库…");
        assert_eq!(cut("数据库表", 6), "数据…");
        assert_eq!(cut("🦀🦀", 3), "🦀…");
        assert_eq!(text_width("e\u{301}"), 1);
    }
}
