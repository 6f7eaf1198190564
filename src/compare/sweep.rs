//! The comparison over many numbers of rows: where each mode begins to pay.

use serde::Serialize;

use datafusion::common::{DataFusionError, Result, exec_err};

use super::report::{Report, SCHEMA_VERSION, group_digits};
use super::{Comparison, Event, Mode, external_tools};

/// The numbers of rows, from a thousand on.
const SIZES: [u64; 6] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The modes of a sweep if none are named: the others take long, or are the same with more threads.
pub const MODES: [Mode; 6] =
    [Mode::Columnar, Mode::Vectorized, Mode::Parallel, Mode::Rayon, Mode::Cuda, Mode::CudaResident];

/// The peers of a sweep if none are named: the best of each tool.
pub const PEERS: [&str; 12] = [
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

/// What a sweep has found.
#[derive(Debug, Clone, Serialize)]
pub struct Sweep {
    /// The version of the JSON form, which is that of the reports.
    pub schema_version: u32,
    /// Where modes begin to pay, in words.
    pub findings: Vec<String>,
    /// The comparisons, by ascending rows.
    pub reports: Vec<Report>,
}

/// A mode's medians over the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The mode's name.
    pub mode: String,
    /// Whether it is a tool of others.
    pub is_peer: bool,
    /// Rows and milliseconds, by ascending rows.
    pub points: Vec<(f64, f64)>,
}

impl Sweep {
    /// Runs the comparison for a thousand rows, and ten times as many each time, up to its own number of rows or as
    /// far as the memory goes.
    ///
    /// # Errors
    /// As [`Comparison::run`], or there are less than a thousand rows.
    pub fn run(comparison: &Comparison, command: &str, observe: &dyn Fn(Event)) -> Result<Self> {
        if comparison.rows < SIZES[0] {
            return exec_err!("a sweep begins with {} rows: use more", SIZES[0]);
        }
        let mut reports: Vec<Report> = Vec::new();
        for rows in SIZES.into_iter().filter(|rows| *rows <= comparison.rows) {
            let comparison = Comparison { rows, ..comparison.clone() };
            if comparison.check_size().is_err() && !reports.is_empty() {
                break;
            }
            observe(Event::Size(rows));
            reports.push(comparison.run(command.to_owned(), observe)?);
        }
        let mut sweep = Self { schema_version: SCHEMA_VERSION, findings: Vec::new(), reports };
        sweep.findings = findings(&sweep.series());
        Ok(sweep)
    }

    /// The modes that have run at least once, in the order in which they ran.
    pub fn series(&self) -> Vec<Series> {
        let mut series: Vec<Series> = Vec::new();
        for report in &self.reports {
            for mode in &report.modes {
                let Some(median) = mode.median_ms else { continue };
                let point = (report.rows as f64, median);
                match series.iter_mut().find(|series| series.mode == mode.mode) {
                    Some(series) => series.points.push(point),
                    None => {
                        let is_peer = external_tools::ALL.iter().any(|peer| peer.name == mode.mode);
                        series.push(Series { mode: mode.mode.clone(), is_peer, points: vec![point] });
                    }
                }
            }
        }
        series
    }

    /// Whether a mode has failed.
    pub fn has_failures(&self) -> bool {
        self.reports.iter().any(Report::has_failures)
    }

    /// The sweep as JSON.
    ///
    /// # Errors
    /// None is expected.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| DataFusionError::External(error.into()))
    }
}

/// Who is the fastest where, and from where on `parallel` is faster than each of the others.
fn findings(series: &[Series]) -> Vec<String> {
    let mut found = vec![fastest(series)];
    let Some(parallel) = series.iter().find(|series| series.mode == Mode::Parallel.name()) else {
        return found;
    };
    let mut always = Vec::new();
    for other in series.iter().filter(|other| other.mode != parallel.mode) {
        let other_name = &other.mode;
        match pays_from(parallel, other) {
            Pays::Always => always.push(format!("`{other_name}`")),
            Pays::From(rows) => found.push(format!(
                "`parallel` is faster than `{other_name}` from about {} rows on.",
                group_digits(rounded(rows))
            )),
            Pays::Never => {
                found.push(format!("`parallel` is not faster than `{other_name}` with the most rows."))
            }
        }
    }
    if !always.is_empty() {
        found.push(format!("`parallel` is faster than {} with any number of rows.", always.join(", ")));
    }
    found
}

/// Who is the fastest with which numbers of rows, in a sentence.
fn fastest(series: &[Series]) -> String {
    let mut sizes: Vec<f64> =
        series.iter().flat_map(|series| series.points.iter().map(|point| point.0)).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    let mut stretches: Vec<(&str, Vec<f64>)> = Vec::new();
    for size in sizes {
        let times = series.iter().filter_map(|series| Some((series, at(series, size)?)));
        let Some((best, _)) = times.min_by(|one, other| one.1.total_cmp(&other.1)) else { continue };
        match stretches.last_mut() {
            Some((mode, sizes)) if *mode == best.mode => sizes.push(size),
            _ => stretches.push((&best.mode, vec![size])),
        }
    }
    let stretches = stretches.iter().map(|(mode, sizes)| {
        let rows = |size: &f64| group_digits(*size as u64);
        match (sizes.first(), sizes.last()) {
            (Some(first), Some(last)) if first != last => {
                format!("`{mode}` with {} to {} rows", rows(first), rows(last))
            }
            (first, _) => format!("`{mode}` with {} rows", first.map(rows).unwrap_or_default()),
        }
    });
    format!("The fastest is {}.", stretches.collect::<Vec<_>>().join(", then "))
}

/// From how many rows on a mode is faster than another.
#[derive(Debug, PartialEq)]
enum Pays {
    Always,
    From(f64),
    Never,
}

fn pays_from(one: &Series, other: &Series) -> Pays {
    let common: Vec<_> =
        one.points.iter().filter_map(|(rows, time)| Some((*rows, (time / at(other, *rows)?).ln()))).collect();
    // The logarithm of the ratio is negative where the first is faster.
    let Some(last_slower) = common.iter().rposition(|(_, ratio)| *ratio >= 0.0) else {
        return if common.is_empty() { Pays::Never } else { Pays::Always };
    };
    let Some((next_rows, next)) = common.get(last_slower + 1) else { return Pays::Never };
    let (rows, ratio) = common[last_slower];
    // Both axes are logarithmic, and so is what lies between two points.
    let share = ratio / (ratio - next);
    Pays::From((rows.ln() + share * (next_rows.ln() - rows.ln())).exp())
}

fn at(series: &Series, rows: f64) -> Option<f64> {
    series.points.iter().find(|point| point.0 == rows).map(|point| point.1)
}

/// A number with one significant digit.
fn rounded(number: f64) -> u64 {
    let unit = 10f64.powf(number.log10().floor());
    ((number / unit).round() * unit) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(mode: &str, times: [f64; 3]) -> Series {
        let rows = [1e3, 1e4, 1e5];
        Series { mode: mode.to_owned(), is_peer: false, points: rows.into_iter().zip(times).collect() }
    }

    #[test]
    fn crossovers_lie_between_the_measured_sizes() {
        let parallel = series("parallel", [2.0, 2.0, 2.0]);
        // Equal at 10^3.5 rows, where both axes are logarithmic.
        let from = pays_from(&parallel, &series("a", [1.0, 4.0, 8.0]));
        let expected = 1e3 * 10f64.sqrt();
        assert!(matches!(from, Pays::From(rows) if (rows / expected - 1.0).abs() < 1e-12), "{from:?}");
        assert_eq!(pays_from(&parallel, &series("b", [3.0, 4.0, 8.0])), Pays::Always);
        assert_eq!(pays_from(&parallel, &series("c", [3.0, 4.0, 1.0])), Pays::Never);
        assert_eq!(pays_from(&parallel, &series("d", [1.0, 1.0, 1.0])), Pays::Never);
        let found = findings(&[parallel, series("a", [1.0, 4.0, 8.0]), series("b", [3.0, 4.0, 8.0])]);
        assert_eq!(
            found,
            [
                "The fastest is `a` with 1,000 rows, then `parallel` with 10,000 to 100,000 rows.",
                "`parallel` is faster than `a` from about 3,000 rows on.",
                "`parallel` is faster than `b` with any number of rows.",
            ]
        );
    }
}
