//! What a comparison is doing, for those who wait.

use super::external_tools::ToolMode;
use super::mode::Mode;
use super::report::model::ModeReport;
use super::workload::Source;

/// What a comparison is doing, for those who wait.
#[derive(Debug)]
pub enum Event<'a> {
    /// A comparison of a sweep begins, with so many rows.
    Size(u64),
    /// The rows are being made.
    MakingRows,
    /// A mode begins, on rows that lie there.
    Mode(Mode, Source),
    /// A peer begins.
    ExternalTool(&'a ToolMode),
    /// A repeat of a mode has ended: which one, of how many.
    Repeat(Mode, usize, usize),
    /// The mode has ended.
    Done(&'a ModeReport),
}
