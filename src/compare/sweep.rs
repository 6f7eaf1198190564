//! Comparisons over several numbers of rows, to find where one mode becomes faster than another.

use serde::Serialize;

use datafusion::common::{DataFusionError, Result, exec_err};

use super::comparison::Comparison;
use super::event::Event;
use super::external_tools::{self, ToolMode};
use super::mode::Mode;
use super::report::model::{Report, SCHEMA_VERSION};
use crate::counts::{count, group_digits};

/// The numbers of rows of a sweep.
const ROW_COUNTS: [u64; 6] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The default modes of a sweep. Slow modes, and those that differ from others only in the number of threads, are left out.
pub const MODES: [Mode; 6] =
    [Mode::Columnar, Mode::Vectorized, Mode::Parallel, Mode::Rayon, Mode::Cuda, Mode::CudaResident];

/// The default external tools of a sweep: the fastest modes of each tool.
pub const EXTERNAL_TOOLS: [&str; 13] = [
    "warpframe-numpy",
    "numpy",
    "numexpr",
    "numba",
    "numba-parallel",
    "jax",
    "jax-gpu",
    "polars-streaming",
    "duckdb",
    "datafusion-python",
    "cupy",
    "torch",
    "numba-cuda",
];

/// The findings of a sweep.
#[derive(Debug, Clone, Serialize)]
pub struct Sweep {
    /// The version of the JSON format, which is that of the reports.
    pub schema_version: u32,
    /// The fastest modes, and where `parallel` becomes faster than other modes, as sentences.
    pub findings: Vec<String>,
    /// The reports, in ascending order of rows.
    pub reports: Vec<Report>,
}

/// The medians of a mode for each number of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The name of the mode.
    pub mode: String,
    /// Whether it is a mode of an external tool.
    pub is_external: bool,
    /// Pairs of rows and milliseconds, in ascending order of rows.
    pub points: Vec<(f64, f64)>,
}

impl Sweep {
    /// Runs the comparison with 1,000 rows, 10,000 rows and so on, and at last with the number of rows of `comparison` or the
    /// greatest of these numbers that fits into memory.
    ///
    /// # Errors
    /// As [`Comparison::run`], or `comparison` has fewer than 1,000 rows.
    pub fn run(comparison: &Comparison, command: &str, on_event: &dyn Fn(Event)) -> Result<Self> {
        if comparison.rows < ROW_COUNTS[0] {
            return exec_err!("a sweep begins with {}: use more", count(ROW_COUNTS[0], "row"));
        }
        let mut reports: Vec<Report> = Vec::new();
        for rows in row_counts(comparison.rows) {
            let comparison = Comparison { rows, ..comparison.clone() };
            if comparison.check_size().is_err() && !reports.is_empty() {
                break;
            }
            on_event(Event::Size(rows));
            reports.push(comparison.run(command.to_owned(), on_event)?);
        }
        let mut sweep = Self { schema_version: SCHEMA_VERSION, findings: Vec::new(), reports };
        sweep.findings = findings(&sweep.series());
        Ok(sweep)
    }

    /// The modes that have a time in at least one report, in the order in which they ran.
    pub fn series(&self) -> Vec<Series> {
        let mut series: Vec<Series> = Vec::new();
        for report in &self.reports {
            for mode in &report.modes {
                let Some(median) = mode.median_ms else { continue };
                let point = (report.rows as f64, median);
                match series.iter_mut().find(|series| series.mode == mode.mode) {
                    Some(series) => series.points.push(point),
                    None => {
                        let is_external = external_tools::find(&mode.mode).is_some_and(ToolMode::is_external);
                        series.push(Series { mode: mode.mode.clone(), is_external, points: vec![point] });
                    }
                }
            }
        }
        series
    }

    /// Whether a mode has failed in any report.
    pub fn has_failures(&self) -> bool {
        self.reports.iter().any(Report::has_failures)
    }

    /// The sweep as JSON.
    ///
    /// # Errors
    /// Serialization fails, which is not expected.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| DataFusionError::External(error.into()))
    }
}

/// The numbers of rows of a sweep up to `last`, which is the last one.
fn row_counts(last: u64) -> Vec<u64> {
    ROW_COUNTS.into_iter().filter(|rows| *rows < last).chain([last]).collect()
}

/// The fastest modes, and the number of rows from which `parallel` is faster than each other mode, as sentences.
fn findings(series: &[Series]) -> Vec<String> {
    let mut findings = vec![fastest(series)];
    let Some(parallel) = series.iter().find(|series| series.mode == Mode::Parallel.name()) else {
        return findings;
    };
    let mut always = Vec::new();
    for other in series.iter().filter(|other| other.mode != parallel.mode) {
        let other_name = &other.mode;
        match crossover(parallel, other) {
            Crossover::Always => always.push(format!("`{other_name}`")),
            Crossover::From(rows) => findings.push(format!(
                "`parallel` is faster than `{other_name}` from about {} rows on.",
                group_digits(round_to_one_digit(rows))
            )),
            Crossover::Never => {
                findings.push(format!("`parallel` is not faster than `{other_name}` with the most rows."))
            }
        }
    }
    if !always.is_empty() {
        findings.push(format!("`parallel` is faster than {} with any number of rows.", always.join(", ")));
    }
    findings
}

/// The fastest mode for each number of rows, as a sentence.
fn fastest(series: &[Series]) -> String {
    let mut sizes: Vec<f64> =
        series.iter().flat_map(|series| series.points.iter().map(|point| point.0)).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let mut ranges: Vec<(&str, Vec<f64>)> = Vec::new();
    for size in sizes {
        let times = series.iter().filter_map(|series| Some((series, time_at(series, size)?)));
        let Some((best, _)) = times.min_by(|one, other| one.1.total_cmp(&other.1)) else { continue };
        match ranges.last_mut() {
            Some((mode, sizes)) if *mode == best.mode => sizes.push(size),
            _ => ranges.push((&best.mode, vec![size])),
        }
    }
    let ranges = ranges.iter().map(|(mode, sizes)| {
        let rows = |size: &f64| group_digits(*size as u64);
        match (sizes.first(), sizes.last()) {
            (Some(first), Some(last)) if first != last => {
                format!("`{mode}` with {} to {} rows", rows(first), rows(last))
            }
            (first, _) => format!("`{mode}` with {} rows", first.map(rows).unwrap_or_default()),
        }
    });
    format!("The fastest is {}.", ranges.collect::<Vec<_>>().join(", then "))
}

/// The number of rows from which one mode is faster than another.
#[derive(Debug, PartialEq)]
enum Crossover {
    Always,
    From(f64),
    Never,
}

fn crossover(series: &Series, other: &Series) -> Crossover {
    let common: Vec<_> = series
        .points
        .iter()
        .filter_map(|(rows, time)| Some((*rows, (time / time_at(other, *rows)?).ln())))
        .collect();
    // The logarithm of the ratio is negative where `series` is faster.
    let Some(last_slower) = common.iter().rposition(|(_, ratio)| *ratio >= 0.0) else {
        return if common.is_empty() { Crossover::Never } else { Crossover::Always };
    };
    let Some((next_rows, next)) = common.get(last_slower + 1) else { return Crossover::Never };
    let (rows, ratio) = common[last_slower];
    // Interpolates linearly between two points on logarithmic axes.
    let fraction = ratio / (ratio - next);
    Crossover::From((rows.ln() + fraction * (next_rows.ln() - rows.ln())).exp())
}

fn time_at(series: &Series, rows: f64) -> Option<f64> {
    series.points.iter().find(|point| point.0 == rows).map(|point| point.1)
}

/// Rounds to one significant digit.
fn round_to_one_digit(number: f64) -> u64 {
    let unit = 10f64.powf(number.log10().floor());
    ((number / unit).round() * unit) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(mode: &str, times: [f64; 3]) -> Series {
        let rows = [1e3, 1e4, 1e5];
        Series { mode: mode.to_owned(), is_external: false, points: rows.into_iter().zip(times).collect() }
    }

    #[test]
    fn a_sweep_ends_with_the_rows_that_were_asked_for() {
        assert_eq!(row_counts(1000), [1000]);
        assert_eq!(row_counts(5000), [1000, 5000]);
        assert_eq!(row_counts(100_000), [1000, 10_000, 100_000]);
        assert_eq!(row_counts(200_000_000).last_chunk(), Some(&[100_000_000, 200_000_000]));
    }

    #[test]
    fn crossovers_lie_between_the_measured_sizes() {
        let parallel = series("parallel", [2.0, 2.0, 2.0]);
        // Equal at 10^3.5 rows, where both axes are logarithmic.
        let from = crossover(&parallel, &series("a", [1.0, 4.0, 8.0]));
        let expected = 1e3 * 10f64.sqrt();
        assert!(matches!(from, Crossover::From(rows) if (rows / expected - 1.0).abs() < 1e-12), "{from:?}");
        assert_eq!(crossover(&parallel, &series("b", [3.0, 4.0, 8.0])), Crossover::Always);
        assert_eq!(crossover(&parallel, &series("c", [3.0, 4.0, 1.0])), Crossover::Never);
        assert_eq!(crossover(&parallel, &series("d", [1.0, 1.0, 1.0])), Crossover::Never);
        let findings = findings(&[parallel, series("a", [1.0, 4.0, 8.0]), series("b", [3.0, 4.0, 8.0])]);
        assert_eq!(
            findings,
            [
                "The fastest is `a` with 1,000 rows, then `parallel` with 10,000 to 100,000 rows.",
                "`parallel` is faster than `a` from about 3,000 rows on.",
                "`parallel` is faster than `b` with any number of rows.",
            ]
        );
    }
}
