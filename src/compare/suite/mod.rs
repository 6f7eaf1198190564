//! The suite: a comparison of several formulas, from memory-bound ones to Black-Scholes, over all rows and over rows that meet a
//! condition, to arrays and to sums.
//!
//! `formulas` lists the formulas, `rows` generates the rows. `contestant` is what a mode and an external tool have in common,
//! `run` lets them take turns, `report` has the findings as data, and `findings` as sentences.

mod contestant;
mod findings;
mod formulas;
mod report;
mod rows;
mod run;

use std::num::NonZeroUsize;
use std::path::PathBuf;

pub(super) use findings::geometric_mean;
pub use formulas::{FORMULAS, SuiteFormula, select};
pub use report::{CaseReport, Measurement, SuiteReport, SuiteTool};

use super::external_tools::ExternalTools;
use super::mode::Mode;
use super::workload::ResultSink;

/// The default number of rows.
pub const ROWS: u64 = 4_000_000;

/// The default number of timed runs of each tool in each case.
pub const REPEAT: NonZeroUsize = NonZeroUsize::new(5).unwrap();

/// The default percentages of rows that conditions keep; 100 is no condition.
pub const KEEP: [u8; 3] = [100, 10, 90];

/// The default kinds of result.
pub const RESULTS: [ResultSink; 2] = [ResultSink::Collect, ResultSink::Sum];

/// The default modes.
pub const MODES: [Mode; 2] = [Mode::Vectorized, Mode::Parallel];

/// All modes that can run: those that evaluate SQL in this process on the CPU.
pub const POSSIBLE_MODES: [Mode; 4] = [Mode::Interpreted, Mode::Columnar, Mode::Vectorized, Mode::Parallel];

/// The default external tools: those of the CPU, and warpframe's own Python package. Left out are the loop of plain Python, which is hundreds of times slower, and
/// modes that differ from others only in the layout of the rows or the number and kind of workers.
pub const EXTERNAL_TOOLS: [&str; 13] = [
    "warpframe-numpy",
    "warpframe-sql",
    "numpy",
    "numexpr",
    "blosc2",
    "numba",
    "numba-parallel",
    "jax",
    "polars",
    "polars-streaming",
    "duckdb",
    "datafusion-python",
    "dask-threads",
];

/// The settings of a suite.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The formulas, in the order in which they run.
    pub formulas: Vec<&'static SuiteFormula>,
    /// The kinds of result, `Collect` and `Sum`.
    pub results: Vec<ResultSink>,
    /// The percentages of rows that conditions keep, from 1 to 100. 100 is no condition.
    pub keep: Vec<u8>,
    /// The modes, of [`POSSIBLE_MODES`].
    pub modes: Vec<Mode>,
    /// The external tools.
    pub external_tools: ExternalTools,
    /// The number of rows, at least one.
    pub rows: u64,
    /// The seed of the values.
    pub seed: u64,
    /// The number of timed runs of each tool in each case, after one warm-up run. Slow tools have fewer.
    pub repeat: NonZeroUsize,
    /// The number of threads of the parallel modes and of the external tools.
    pub threads: NonZeroUsize,
    /// An existing folder for temporary files. The caller removes it.
    pub work_folder: PathBuf,
}
