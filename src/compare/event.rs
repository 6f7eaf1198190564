//! Progress events of a comparison.

use super::external_tools::ToolMode;
use super::mode::Mode;
use super::report::model::ModeReport;
use super::suite::CaseReport;
use super::workload::Source;

/// The progress of a comparison.
#[derive(Debug)]
pub enum Event<'a> {
    /// A sweep starts a comparison with this number of rows.
    Size(u64),
    /// The rows are being generated.
    MakingRows,
    /// A mode starts on rows from this source.
    Mode(Mode, Source),
    /// An external tool starts.
    ExternalTool(&'a ToolMode),
    /// A timed run of a mode has ended: its number, from 1, and the number of timed runs.
    Repeat(Mode, usize, usize),
    /// A mode or an external tool has ended.
    Done(&'a ModeReport),
    /// A case of a suite starts: the name of the formula, the number of the case, from 1, and the number of cases.
    Case(&'a str, usize, usize),
    /// A case of a suite has ended.
    CaseDone(&'a CaseReport),
}
