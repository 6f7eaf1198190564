//! How results are shown.

use std::time::Instant;

use super::format::Format;
use super::non_finite::NonFinite;
use super::table::Limits;
use crate::command::terminal;

/// How results are shown.
#[derive(Debug, Clone)]
pub struct Display {
    /// The format that the user has chosen. Without one it is a table, or the format that the name of a file stands for.
    pub format: Option<Format>,
    /// What NaN and infinities become in JSON.
    pub non_finite: NonFinite,
    /// What of a table on stdout is shown.
    pub limits: Limits,
    /// Whether a table on stdout has a line with the number of its rows.
    pub footer: bool,
    /// The beginning of the statement, if the line also has the time since then.
    pub started: Option<Instant>,
    /// Whether the progress of a query is shown.
    pub progress: bool,
    /// Whether messages name commands of the shell instead of options.
    pub is_shell: bool,
}

/// Until when the progress of a query is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShowProgress {
    /// Not at all: the screen is that of another program.
    Never,
    /// Until rows appear on the terminal, which are progress enough.
    UntilOutput,
    ToTheEnd,
}

/// The progress of a query whose rows go to stdout.
pub(super) fn screen_progress() -> ShowProgress {
    if terminal::is_terminal() { ShowProgress::UntilOutput } else { ShowProgress::ToTheEnd }
}
