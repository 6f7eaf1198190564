//! The findings of a suite as data. `docs/report.md` documents the JSON format.

use datafusion::common::{DataFusionError, Result};
use serde::{Deserialize, Serialize};

use crate::compare::report::{Libraries, Limit, Status};
use crate::machine::Machine;

/// The findings of a suite. Times are in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SuiteReport {
    /// The version of the JSON format, which is that of the reports.
    pub schema_version: u32,
    /// The number of rows before conditions.
    pub rows: u64,
    /// The seed of the values.
    pub seed: u64,
    /// The number of timed runs of each tool in each case; slow tools have fewer.
    pub repeat: usize,
    /// The number of threads of the parallel modes and of the external tools.
    pub threads: usize,
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
    /// Where `parallel` and `vectorized` are slower than external tools, as sentences.
    pub findings: Vec<String>,
    /// The modes and the external tools.
    pub tools: Vec<SuiteTool>,
    /// The cases, in the order in which they ran.
    pub cases: Vec<CaseReport>,
}

/// A mode or an external tool of a suite.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SuiteTool {
    /// Its name.
    pub name: String,
    /// A short description.
    pub description: String,
    /// Whether it is an external tool.
    pub is_external: bool,
    /// The number of threads; 0 if it does not take part.
    pub threads: usize,
    /// The versions of its Python packages, if it is an external tool.
    pub version: Option<String>,
    /// Whether it takes part.
    pub status: Status,
    /// Why it does not take part.
    pub reason: Option<String>,
}

/// A formula over the rows that meet a condition, to one kind of result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseReport {
    /// The name of the formula.
    pub formula: String,
    /// The formula, in SQL.
    pub expression: String,
    /// `collect` or `sum`.
    pub result: String,
    /// The percentage of rows that the condition keeps; 100 for all rows.
    pub keep_percent: u8,
    /// The condition in SQL; null for all rows.
    pub filter: Option<String>,
    /// The number of rows that meet the condition.
    pub rows: u64,
    /// The times of the tools that take part.
    pub measurements: Vec<Measurement>,
}

/// The times of a tool in a case. Values that were not measured are null in JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measurement {
    /// The name of the tool.
    pub tool: String,
    /// Whether it ran, and its result was correct.
    pub status: Status,
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
    /// The sum of the results.
    pub sum: Option<f64>,
    /// The largest distance of a row from the reference, in units in the last place.
    pub max_ulp: Option<u64>,
}

impl Measurement {
    pub(super) fn without_time(tool: &str, status: Status, reason: String) -> Self {
        Self {
            tool: tool.to_owned(),
            status,
            reason: Some(reason),
            first_ms: None,
            median_ms: None,
            min_ms: None,
            max_ms: None,
            repeats: 0,
            sum: None,
            max_ulp: None,
        }
    }
}

impl CaseReport {
    /// The measurement of a tool, if it takes part.
    pub fn of_tool(&self, tool: &str) -> Option<&Measurement> {
        self.measurements.iter().find(|measurement| measurement.tool == tool)
    }

    /// The median of a tool in milliseconds, if it has one.
    pub fn median_of(&self, tool: &str) -> Option<f64> {
        self.of_tool(tool)?.median_ms
    }

    /// The rows and the kind of result, as text.
    pub fn describe(&self) -> String {
        let result = if self.result == "sum" { "to their sum" } else { "to arrays" };
        match self.keep_percent {
            100 => format!("all rows, {result}"),
            percent => format!("{percent} % of the rows, {result}"),
        }
    }
}

impl SuiteReport {
    /// The cases by what they have in common beside the formula: the rows and the kind of result.
    pub fn groups(&self) -> Vec<Vec<&CaseReport>> {
        groups(&self.cases)
    }

    /// The tools that take part.
    pub fn participants(&self) -> impl Iterator<Item = &SuiteTool> {
        self.tools.iter().filter(|tool| tool.status == Status::Ok)
    }

    /// Whether a tool has failed.
    pub fn has_failures(&self) -> bool {
        self.tools.iter().any(|tool| tool.status == Status::Failed)
            || self.cases.iter().flat_map(|case| &case.measurements).any(|one| one.status == Status::Failed)
    }

    /// The report as JSON.
    ///
    /// # Errors
    /// Serialization fails, which is not expected.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| DataFusionError::External(error.into()))
    }

    /// Reads a report from JSON.
    ///
    /// # Errors
    /// The text is not a report of a suite.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| DataFusionError::External(error.into()))
    }

    /// The machine, as text.
    pub fn describe_machine(&self) -> String {
        self.machine.describe()
    }
}

/// The cases by rows and kind of result: first all results to arrays, then those to sums, in the order in which they ran.
pub(super) fn groups(cases: &[CaseReport]) -> Vec<Vec<&CaseReport>> {
    let mut groups: Vec<Vec<&CaseReport>> = Vec::new();
    let same = |one: &CaseReport, other: &CaseReport| {
        (&one.result, one.keep_percent) == (&other.result, other.keep_percent)
    };
    for case in cases {
        match groups.iter_mut().find(|group| group.iter().any(|other| same(case, other))) {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    groups.sort_by_key(|group| group.first().map(|case| case.result.clone()));
    groups
}
