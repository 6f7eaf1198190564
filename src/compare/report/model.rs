//! The findings of a comparison as data. `docs/report.md` documents the JSON format.

use datafusion::common::{DataFusionError, Result};
use serde::{Deserialize, Serialize};

use crate::compare::comparison::Comparison;
use crate::compare::external_tools::{self, ToolMode};
use crate::compare::formula::Formula;
use crate::compare::measure::{Measured, median, milliseconds};
use crate::compare::mode::Mode;
use crate::compare::verify::Verified;
use crate::compare::workload::{ResultSink, Source, describe_rows};
use crate::counts::count;
use crate::machine::Machine;
use crate::revision::REVISION;
use warpframe_cuda::metrics;
use warpframe_ir::metrics::Snapshot;

/// The version of the JSON format. It increases when the meaning of a field changes or a field is removed, but not when a
/// field is added.
pub const SCHEMA_VERSION: u32 = 1;

/// The findings of a comparison. Times are in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// The formula, in SQL.
    pub expression: String,
    /// The number of rows.
    pub rows: u64,
    /// The values of the rows: `sequence`, or `uniform` and a seed.
    pub distribution: String,
    /// Where the rows are when the clock starts: `memory` or `parquet`.
    pub source: String,
    /// What each mode produces: `collect`, `sum` or `parquet`.
    pub result: String,
    /// The command line.
    pub command: String,
    /// The version of warpframe.
    pub version: String,
    /// The Git revision of warpframe's sources, followed by `-dirty` if they were modified.
    pub git_revision: String,
    /// The versions of the main libraries.
    pub libraries: Libraries,
    /// The machine.
    pub machine: Machine,
    /// The practical limit of the memory.
    pub limit: Limit,
    /// The modes, in the order in which they ran.
    pub modes: Vec<ModeReport>,
    /// The columns that the formula reads, of `x`, `y` and `z`. Not in the JSON.
    #[serde(skip)]
    pub columns: Vec<String>,
    /// Whether the formula is `log3`, whose reference is the standard library's logarithm. Not in the JSON.
    #[serde(skip)]
    pub is_log3: bool,
}

/// Versions of the main libraries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Libraries {
    /// The version of DataFusion.
    pub datafusion: String,
    /// The version of Arrow.
    pub arrow: String,
}

impl Libraries {
    /// The versions of the libraries in this binary.
    pub(in crate::compare) fn current() -> Self {
        Self { datafusion: datafusion::DATAFUSION_VERSION.to_owned(), arrow: arrow::ARROW_VERSION.to_owned() }
    }
}

/// The memory limit: a practical limit, not a bound.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limit {
    /// The median time of reading three columns in memory and writing one (`x*y*z`) into new buffers with all threads. Half
    /// of the repeats run before the modes and half after them.
    pub stream_ms: f64,
}

/// The outcome of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The mode ran, and every result was correct.
    Ok,
    /// The mode cannot run on this machine or with these settings.
    Skipped,
    /// The mode returned an error or a wrong result.
    Failed,
}

/// The findings about a mode. Values that were not measured are null in JSON.
#[derive(Debug, Clone, Serialize)]
pub struct ModeReport {
    /// The name of the mode.
    pub mode: String,
    /// A short description.
    pub description: String,
    /// The outcome.
    pub status: Status,
    /// Where its rows are: `memory` or `parquet`.
    pub source: String,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    /// The warm-up run.
    pub first_ms: Option<f64>,
    /// The median of the timed runs.
    pub median_ms: Option<f64>,
    /// The fastest timed run.
    pub min_ms: Option<f64>,
    /// The slowest timed run.
    pub max_ms: Option<f64>,
    /// The number of timed runs.
    pub repeats: usize,
    /// The number of threads.
    pub threads: usize,
    /// The number of rows evaluated per run.
    pub rows: u64,
    /// The sum of the results.
    pub sum: Option<f64>,
    /// The largest distance of a row from the reference, in units in the last place.
    pub max_ulp: Option<u64>,
    /// Rows per second, computed from the median.
    pub rows_per_s: Option<f64>,
    /// For cluster modes: the parts of the time.
    pub split: Option<Split>,
    /// For GPU modes: the parts of the time.
    pub gpu: Option<GpuSplit>,
    /// For external tools: versions and set-up times.
    pub peer: Option<ToolDetails>,
    /// The size of the Parquet files written, if the mode writes Parquet.
    pub output_bytes: Option<u64>,
}

/// The parts of the time of a cluster mode, in milliseconds. Start and scatter happen once, before the clock starts;
/// compute and gather are medians of the timed runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Split {
    /// The number of tasks that the cluster runs concurrently.
    pub slots: usize,
    /// From starting the cluster until all executors are registered; null for a cluster that was already running.
    pub start_ms: Option<f64>,
    /// Writing the rows to files that the executors read.
    pub scatter_ms: f64,
    /// From the submission of the query to its end on the cluster.
    pub compute_ms: f64,
    /// Fetching the results.
    pub gather_ms: f64,
}

/// The parts of the time of a GPU mode, in milliseconds, as means of the timed runs. The parts overlap, so their sum can
/// exceed the time of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GpuSplit {
    /// Compiling kernels, in the warm-up run or before it.
    pub compile_ms: f64,
    /// Copying columns into page-locked memory.
    pub stage_ms: f64,
    /// Copies to the GPU.
    pub h2d_ms: f64,
    /// Kernels.
    pub kernel_ms: f64,
    /// Copies from the GPU.
    pub d2h_ms: f64,
    /// Bytes copied to the GPU per run.
    pub h2d_bytes: u64,
    /// Bytes copied from the GPU per run.
    pub d2h_bytes: u64,
    /// Batches that the CPU evaluated because memory was exhausted, in all runs with the warm-up.
    pub fallback_batches: u64,
}

/// The versions and set-up times of an external tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolDetails {
    /// The versions of its Python packages.
    pub version: String,
    /// From the start of the interpreter to the end of its imports, in milliseconds.
    pub import_ms: f64,
    /// Converting the rows to the tool's own format, in milliseconds.
    pub load_ms: f64,
}

impl GpuSplit {
    /// Computes the split from the counters of the warm-up run (`first`) and of all timed runs together (`others`).
    /// `runs` is the number of timed runs.
    pub(in crate::compare) fn of(first: &Snapshot, others: &Snapshot, runs: usize) -> Self {
        let each = |name: &str| milliseconds(others.time(name)) / runs.max(1) as f64;
        let bytes = |name: &str| others.count(name) / runs.max(1) as u64;
        Self {
            compile_ms: milliseconds(first.time(metrics::COMPILE_TIME)),
            stage_ms: each(metrics::STAGE_TIME),
            h2d_ms: each(metrics::H2D_TIME),
            kernel_ms: each(metrics::KERNEL_TIME),
            d2h_ms: each(metrics::D2H_TIME),
            h2d_bytes: bytes(metrics::H2D_BYTES),
            d2h_bytes: bytes(metrics::D2H_BYTES),
            fallback_batches: first.count(metrics::FALLBACK_BATCHES)
                + others.count(metrics::FALLBACK_BATCHES),
        }
    }
}

impl ModeReport {
    /// Whether it is a mode of an external tool.
    pub fn is_external(&self) -> bool {
        external_tools::find(&self.mode).is_some_and(ToolMode::is_external)
    }

    /// Whether it needs a GPU.
    fn needs_gpu(&self) -> bool {
        external_tools::ALL.iter().any(|tool| tool.needs_gpu && tool.name == self.mode)
            || Mode::ALL.iter().any(|mode| mode.needs_gpu() && mode.name() == self.mode)
    }

    /// The name of the mode, with its source if that differs from the source of the report.
    pub(super) fn label(&self, report: &Report) -> String {
        match self.source == report.source
            || self.mode.starts_with("cluster")
            || external_tools::find(&self.mode).is_some()
        {
            true => self.mode.clone(),
            false => format!("{} ({})", self.mode, self.source),
        }
    }

    pub(in crate::compare) fn ok(
        mode: Mode,
        source: Source,
        threads: usize,
        rows: u64,
        measured: &Measured,
    ) -> Self {
        let times: Vec<f64> = measured.times.iter().copied().map(milliseconds).collect();
        let empty = Self::empty(mode.name(), mode.description(), source, Status::Ok, None);
        let first = milliseconds(measured.first);
        Self { threads, rows, ..empty.timed(first, &times, rows, measured.verified) }
    }

    /// A report without times for an external tool.
    pub(in crate::compare) fn of_tool(tool: &ToolMode, source: Source) -> Self {
        Self::empty(tool.name, tool.description, source, Status::Ok, None)
    }

    pub(in crate::compare) fn skipped_because(self, reason: &str) -> Self {
        Self { status: Status::Skipped, reason: Some(reason.to_owned()), ..self }
    }

    pub(in crate::compare) fn failed_because(self, reason: String) -> Self {
        Self { status: Status::Failed, reason: Some(reason), ..self }
    }

    /// Adds times in milliseconds, in ascending order, and the verified result of `rows` rows.
    pub(in crate::compare) fn timed(
        self,
        first_ms: f64,
        times_ms: &[f64],
        rows: u64,
        verified: Verified,
    ) -> Self {
        let median = median(times_ms);
        Self {
            first_ms: Some(first_ms),
            median_ms: Some(median),
            min_ms: times_ms.first().copied(),
            max_ms: times_ms.last().copied(),
            repeats: times_ms.len(),
            rows_per_s: Some(rows as f64 / median * 1e3),
            sum: Some(verified.sum),
            max_ulp: verified.max_ulp,
            ..self
        }
    }

    pub(in crate::compare) fn skipped(mode: Mode, source: Source, reason: &str) -> Self {
        Self::empty(mode.name(), mode.description(), source, Status::Skipped, Some(reason.to_owned()))
    }

    pub(in crate::compare) fn failed(mode: Mode, source: Source, threads: usize, reason: String) -> Self {
        let empty = Self::empty(mode.name(), mode.description(), source, Status::Failed, Some(reason));
        Self { threads, ..empty }
    }

    fn empty(mode: &str, description: &str, source: Source, status: Status, reason: Option<String>) -> Self {
        Self {
            mode: mode.to_owned(),
            description: description.to_owned(),
            source: source.to_string(),
            status,
            reason,
            first_ms: None,
            median_ms: None,
            min_ms: None,
            max_ms: None,
            repeats: 0,
            threads: 0,
            rows: 0,
            sum: None,
            max_ulp: None,
            rows_per_s: None,
            split: None,
            gpu: None,
            peer: None,
            output_bytes: None,
        }
    }
}

impl Report {
    pub(in crate::compare) fn new(
        comparison: &Comparison,
        formula: &Formula,
        command: String,
        machine: Machine,
        stream_ms: f64,
        modes: Vec<ModeReport>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            expression: formula.sql.clone(),
            rows: comparison.rows,
            distribution: describe_rows(&comparison.generator),
            source: comparison.source.to_string(),
            result: comparison.result.to_string(),
            command,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git_revision: REVISION.to_owned(),
            libraries: Libraries::current(),
            machine,
            limit: Limit { stream_ms },
            modes,
            columns: formula.compiled.columns.clone(),
            is_log3: formula.is_log3(),
        }
    }

    /// Whether a mode has failed.
    pub fn has_failures(&self) -> bool {
        self.modes.iter().any(|mode| mode.status == Status::Failed)
    }

    /// The report as JSON.
    ///
    /// # Errors
    /// Serialization fails, which is not expected.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| DataFusionError::External(error.into()))
    }

    /// The modes that tables and drawings show in a row each. On a machine without a GPU these do not include the skipped GPU
    /// modes.
    pub(super) fn shown_modes(&self) -> impl Iterator<Item = &ModeReport> {
        self.modes.iter().filter(|mode| !self.is_without_gpu(mode))
    }

    /// The skipped GPU modes of a machine without a GPU, as a sentence; `None` if there are none.
    pub(super) fn describe_without_gpu(&self) -> Option<String> {
        let skipped = self.modes.iter().filter(|mode| self.is_without_gpu(mode));
        let mut names: Vec<_> = skipped.map(|mode| mode.mode.as_str()).collect();
        names.dedup();
        (!names.is_empty()).then(|| format!("no usable GPU, skipped: {}", names.join(", ")))
    }

    fn is_without_gpu(&self, mode: &ModeReport) -> bool {
        self.machine.gpus.is_empty() && mode.status == Status::Skipped && mode.needs_gpu()
    }

    /// The rows, their source and the kind of result, as text.
    pub(super) fn describe_input(&self) -> String {
        let source = match self.source.as_str() {
            name if name == Source::Parquet.name() => "Parquet",
            _ => "memory",
        };
        let result = match self.result.as_str() {
            name if name == ResultSink::Sum.name() => "to their sum",
            name if name == ResultSink::Parquet.name() => "to Parquet",
            _ => "to Arrow arrays",
        };
        format!("{} ({}), from {source} {result}", count(self.rows, "row"), self.distribution)
    }

    /// The machine, as text.
    pub(super) fn describe_machine(&self) -> String {
        self.machine.describe()
    }

    /// The ratio of the median of a mode to that of `parallel`, on the same source if `parallel` ran on it.
    pub(super) fn ratio_to_parallel(&self, mode: &ModeReport) -> Option<f64> {
        let parallel = |same: bool| {
            let rows = self.modes.iter().filter(|other| other.mode == Mode::Parallel.name());
            rows.filter(|other| !same || other.source == mode.source).find_map(|other| other.median_ms)
        };
        Some(mode.median_ms? / parallel(true).or_else(|| parallel(false))?)
    }

    /// The mode with the longest median, and that median: the base of speed-ups.
    pub(super) fn slowest(&self) -> Option<(&ModeReport, f64)> {
        let timed = self.modes.iter().filter_map(|mode| Some((mode, mode.median_ms?)));
        timed.max_by(|one, other| one.1.total_cmp(&other.1))
    }
}
