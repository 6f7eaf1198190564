//! The lines of text tables.

/// The lines around the cells of a table.
pub struct Borders {
    pub top: Option<Rule>,
    pub header: Option<Rule>,
    pub bottom: Option<Rule>,
    /// The line beside each cell.
    pub vertical: &'static str,
    /// How the lines of a cell become one line of text. Without it, a row has as many lines as its highest cell.
    pub escape: Option<fn(&[String]) -> String>,
}

/// A horizontal line.
pub struct Rule {
    pub left: &'static str,
    pub line: &'static str,
    /// The end of the line below the name of a column that is aligned at the right.
    pub right_aligned: &'static str,
    pub crossing: &'static str,
    pub right: &'static str,
}

impl Rule {
    const fn new(
        left: &'static str,
        line: &'static str,
        crossing: &'static str,
        right: &'static str,
    ) -> Self {
        Self { left, line, right_aligned: line, crossing, right }
    }
}

/// Borders of ASCII characters.
pub const ASCII: Borders = Borders {
    top: Some(Rule::new("+", "-", "+", "+")),
    header: Some(Rule::new("+", "-", "+", "+")),
    bottom: Some(Rule::new("+", "-", "+", "+")),
    vertical: "|",
    escape: None,
};

/// Borders of line-drawing characters.
pub const BOX: Borders = Borders {
    top: Some(Rule::new("┌", "─", "┬", "┐")),
    header: Some(Rule::new("├", "─", "┼", "┤")),
    bottom: Some(Rule::new("└", "─", "┴", "┘")),
    vertical: "│",
    escape: None,
};

/// A table in GitHub's Markdown, whose cells are single lines without a bar that is not escaped.
pub const MARKDOWN: Borders = Borders {
    top: None,
    header: Some(Rule { left: "|", line: "-", right_aligned: ":", crossing: "|", right: "|" }),
    bottom: None,
    vertical: "|",
    escape: Some(|lines| lines.join("<br>").replace('|', "\\|")),
};
