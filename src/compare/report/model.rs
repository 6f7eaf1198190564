//! What a comparison has found, as data with a stable JSON form.

use std::time::Duration;

use datafusion::common::{DataFusionError, Result};
use serde::Serialize;

use super::format::group_digits;
use crate::backend::cuda::Counts;
use crate::compare::comparison::Comparison;
use crate::compare::external_tools::{self, ToolMode};
use crate::compare::formula::Formula;
use crate::compare::machine::Machine;
use crate::compare::measure::{Measured, median, milliseconds};
use crate::compare::mode::Mode;
use crate::compare::verify::Verified;
use crate::compare::workload::{ResultSink, Source, describe_rows};

/// The version of the JSON form. It grows when a field changes its meaning or goes; new fields may come
/// without it.
pub const SCHEMA_VERSION: u32 = 1;

/// A comparison's findings. Times are in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// The formula.
    pub expression: String,
    /// How many rows.
    pub rows: u64,
    /// What the rows hold.
    pub distribution: String,
    /// Where they lay: `memory` or `parquet`.
    pub source: String,
    /// What was made of them: `collect`, `sum` or `parquet`.
    pub result: String,
    /// The command line.
    pub command: String,
    /// warpframe's version.
    pub version: String,
    /// The revision of warpframe's sources, with `-dirty` where they had changes.
    pub git_revision: String,
    /// The versions of the main libraries.
    pub libraries: Libraries,
    /// The machine.
    pub machine: Machine,
    /// What no mode can beat.
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
#[derive(Debug, Clone, Serialize)]
pub struct Libraries {
    /// DataFusion's.
    pub datafusion: String,
    /// Arrow's.
    pub arrow: String,
}

/// The physical floor.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    /// The median time of reading three columns in memory and writing one (`x*y*z`) with all threads, in
    /// the same buffers, half of the repeats before the modes and half after them.
    pub stream_ms: f64,
}

/// Whether a mode has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has, and every answer was right.
    Ok,
    /// It cannot run here or with these settings.
    Skipped,
    /// It gave an error or a wrong answer.
    Failed,
}

/// A mode's findings. What was not measured is null in JSON.
#[derive(Debug, Clone, Serialize)]
pub struct ModeReport {
    /// The mode's name.
    pub mode: String,
    /// What it does, in a few words.
    pub description: String,
    /// Whether it has run.
    pub status: Status,
    /// Where its rows lay: `memory` or `parquet`.
    pub source: String,
    /// Why it has not.
    pub reason: Option<String>,
    /// The first run, which does not count.
    pub first_ms: Option<f64>,
    /// The median of the repeats.
    pub median_ms: Option<f64>,
    /// The fastest repeat.
    pub min_ms: Option<f64>,
    /// The slowest repeat.
    pub max_ms: Option<f64>,
    /// How many repeats there were.
    pub repeats: usize,
    /// How many threads it had.
    pub threads: usize,
    /// How many rows it evaluated.
    pub rows: u64,
    /// The sum of the results.
    pub sum: Option<f64>,
    /// The largest distance of a row from the reference, in units in the last place.
    pub max_ulp: Option<u64>,
    /// Rows per second, by the median.
    pub rows_per_s: Option<f64>,
    /// Of a mode on a cluster, what its time was spent on.
    pub split: Option<Split>,
    /// Of a mode on a GPU, what its time was spent on.
    pub gpu: Option<GpuSplit>,
    /// Of a tool of others, its versions and what it did before the clock started.
    pub peer: Option<ToolDetails>,
    /// The size of the Parquet files it has written, where that is the result.
    pub output_bytes: Option<u64>,
}

/// What a mode on a cluster spent its time on, in milliseconds; medians of the repeats where there are several.
/// Start and scatter happen once, before the clock.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Split {
    /// How many tasks the cluster ran at a time.
    pub slots: usize,
    /// From nothing to a cluster with all its executors; null for one that was there before.
    pub start_ms: Option<f64>,
    /// Laying the rows where the executors find them.
    pub scatter_ms: f64,
    /// From handing in the query to its end on the cluster.
    pub compute_ms: f64,
    /// Fetching the results.
    pub gather_ms: f64,
}

/// What a mode on a GPU spent its time on, in milliseconds, the mean of the repeats. Parts overlap, so that they add up
/// to more than the time that passes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GpuSplit {
    /// Compiling kernels, before the repeats.
    pub compile_ms: f64,
    /// Copying columns into page-locked memory.
    pub stage_ms: f64,
    /// Copies to the GPU.
    pub h2d_ms: f64,
    /// Kernels.
    pub kernel_ms: f64,
    /// Copies from the GPU.
    pub d2h_ms: f64,
    /// Bytes copied to the GPU in a run.
    pub h2d_bytes: u64,
    /// Bytes copied from the GPU in a run.
    pub d2h_bytes: u64,
    /// Batches that the CPU evaluated instead, in all runs.
    pub fallback_batches: u64,
}

/// What is known of a peer's run besides its times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolDetails {
    /// The versions of its packages.
    pub version: String,
    /// From the start of the interpreter to the end of its imports, in milliseconds.
    pub import_ms: f64,
    /// Bringing the rows into its own form, in milliseconds.
    pub load_ms: f64,
}

impl GpuSplit {
    /// The split of what the first run and the others have counted.
    pub(in crate::compare) fn of(first: Counts, others: Counts, runs: usize) -> Self {
        let each = |time: Duration| milliseconds(time) / runs.max(1) as f64;
        Self {
            compile_ms: milliseconds(first.compile_time),
            stage_ms: each(others.stage_time),
            h2d_ms: each(others.h2d_time),
            kernel_ms: each(others.kernel_time),
            d2h_ms: each(others.d2h_time),
            h2d_bytes: others.h2d_bytes / runs.max(1) as u64,
            d2h_bytes: others.d2h_bytes / runs.max(1) as u64,
            fallback_batches: first.fallback_batches + others.fallback_batches,
        }
    }
}

impl ModeReport {
    /// Whether it is a tool of others.
    pub fn is_external(&self) -> bool {
        external_tools::ALL.iter().any(|tool| tool.name == self.mode)
    }

    /// The mode's name, with where its rows lay if that is not where the report's rows lay.
    pub(super) fn label(&self, report: &Report) -> String {
        match self.source == report.source || self.mode.starts_with("cluster") || self.is_external() {
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

    /// Nothing yet of a tool of others.
    pub(in crate::compare) fn of_tool(tool: &ToolMode, source: Source) -> Self {
        Self::empty(tool.name, tool.description, source, Status::Ok, None)
    }

    pub(in crate::compare) fn skipped_because(self, reason: &str) -> Self {
        Self { status: Status::Skipped, reason: Some(reason.to_owned()), ..self }
    }

    pub(in crate::compare) fn failed_because(self, reason: String) -> Self {
        Self { status: Status::Failed, reason: Some(reason), ..self }
    }

    /// With times in milliseconds, in ascending order, of so many rows.
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
            git_revision: env!("WARPFRAME_GIT_REVISION").to_owned(),
            libraries: Libraries {
                datafusion: datafusion::DATAFUSION_VERSION.to_owned(),
                arrow: arrow::ARROW_VERSION.to_owned(),
            },
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
    /// None is expected.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| DataFusionError::External(error.into()))
    }

    /// The rows, with what they hold and where they lay, in words.
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
        format!("{} rows ({}), from {source} {result}", group_digits(self.rows), self.distribution)
    }

    /// The machine, in words.
    pub(super) fn describe_machine(&self) -> String {
        let Machine { cpu, cores, simd, memory_bytes, gpus, .. } = &self.machine;
        let gib = *memory_bytes as f64 / f64::from(1 << 30);
        let gpus: String = gpus.iter().map(|gpu| format!(", {gpu}")).collect();
        format!("{cpu}, {cores} cores, {simd}, {gib:.0} GiB{gpus}")
    }

    /// How many times as long as `parallel` a mode has taken, on rows from the same place.
    pub(super) fn ratio_to_parallel(&self, mode: &ModeReport) -> Option<f64> {
        let parallel = |same: bool| {
            let rows = self.modes.iter().filter(|other| other.mode == Mode::Parallel.name());
            rows.filter(|other| !same || other.source == mode.source).find_map(|other| other.median_ms)
        };
        Some(mode.median_ms? / parallel(true).or_else(|| parallel(false))?)
    }

    /// The slowest median, which speed-ups refer to, with its mode.
    pub(super) fn slowest(&self) -> Option<(&ModeReport, f64)> {
        let timed = self.modes.iter().filter_map(|mode| Some((mode, mode.median_ms?)));
        timed.max_by(|one, other| one.1.total_cmp(&other.1))
    }
}
