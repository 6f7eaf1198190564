//! Progress bars on stderr, which indicatif hides if stderr is not a terminal.

use std::sync::OnceLock;

use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};
use warpframe_io::Progress;

use crate::terminal_text::escape_controls;

/// A progress bar with rows, rows per second and the remaining time.
#[derive(Default)]
pub struct RowsBar {
    bar: OnceLock<ProgressBar>,
}

impl RowsBar {
    /// Removes the bar from the screen.
    pub fn clear(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for RowsBar {
    fn start(&self, rows: u64) {
        let (bar, style) = match rows {
            0 => (ProgressBar::no_length(), "{spinner} {human_pos} rows  {rate}"),
            rows => (
                ProgressBar::new(rows),
                "{bar:32} {percent:>3}%  {human_pos} of {human_len} rows  {rate}  ETA {eta}",
            ),
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // A line that cannot be drawn is drawn at the next step.
                let _ = write!(out, "{} rows/s", HumanCount(state.per_sec() as u64));
            }));
        }
        let _ = self.bar.set(bar);
    }

    fn position(&self, rows: u64) {
        if let Some(bar) = self.bar.get() {
            bar.set_position(rows);
        }
    }

    fn warn(&self, message: &str) {
        eprintln!("warning: {}", escape_controls(message));
    }

    fn note(&self, message: &str) {
        eprintln!("note: {}", escape_controls(message));
    }
}

/// A spinner with a message.
pub fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    spinner
}
