//! The terminal that results are shown on.

use std::io::IsTerminal;

use console::Term;

/// The number of rows of a table that a terminal shows, unless the user says otherwise.
pub const DEFAULT_MAX_ROWS: usize = 40;

/// Whether stdout is a terminal.
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// The width of the terminal in characters, or `None` if stdout is none or does not tell.
pub fn width() -> Option<usize> {
    let (_, columns) = Term::stdout().size_checked().filter(|_| is_terminal())?;
    Some(usize::from(columns)).filter(|columns| *columns > 0)
}

/// Whether the terminal shows colours: not with the environment variable `NO_COLOR`, and not on a terminal without them.
pub fn has_colors() -> bool {
    console::colors_enabled()
}
