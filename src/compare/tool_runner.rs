//! Runs the external tools of a comparison, one at a time, each in a separate process. They time themselves with the same
//! threads and number of runs as the modes. The result of the last run is verified.

use std::process::Command;

use arrow::array::RecordBatch;
use datafusion::common::Result;

use super::comparison::Comparison;
use super::external_tools::{ExternalTools, ToolMode};
use super::formula::Formula;
use super::formula_tree::FormulaTree;
use super::measure::MAX_TIME_PER_MODE;
use super::output_files::total_bytes;
use super::report::model::{ModeReport, ToolDetails};
use super::tool_process::{Refusal, ToolFiles, ToolProcess};
use super::verify::Reference;
use super::workload::{ResultSink, Source};

/// Runs the external tools of a comparison.
pub struct ToolRunner<'a> {
    comparison: &'a Comparison,
    tools: &'a ExternalTools,
    /// The formula and the files, or why none of the tools can run.
    ready: Result<(&'a FormulaTree, ToolFiles), String>,
}

impl<'a> ToolRunner<'a> {
    /// Writes the rows and the Python programs into the work folder.
    pub fn prepare(
        comparison: &'a Comparison,
        tools: &'a ExternalTools,
        formula: &'a Formula,
        rows: &RecordBatch,
    ) -> Result<Self> {
        let of_parquet = comparison.source == Source::Parquet && comparison.result != ResultSink::Parquet;
        let possible = match &formula.tree {
            _ if of_parquet => {
                Err("peers read columns in memory: use --source memory, or --result parquet".to_owned())
            }
            Ok(tree) => interpreter(tools).map(|()| tree),
            Err(part) => Err(no_counterpart(part)),
        };
        let ready = match possible {
            Ok(tree) => {
                let folder = comparison.work_folder.join("peers");
                let threads = comparison.threads.get();
                Ok((tree, ToolFiles::write(folder, comparison.rows_file(), rows, threads)?))
            }
            Err(reason) => Err(reason),
        };
        Ok(Self { comparison, tools, ready })
    }

    /// Runs a mode of a tool and verifies its result.
    pub fn run(&self, mode: &ToolMode, reference: &Reference) -> ModeReport {
        let source = match self.comparison.result {
            ResultSink::Parquet => Source::Parquet,
            _ => Source::Memory,
        };
        let empty = ModeReport::of_tool(mode, source);
        let measured = match &self.ready {
            Ok((tree, files)) => self.measure(mode, (tree, files), reference, empty.clone()),
            Err(reason) => Err(Refusal::Skipped(reason.clone())),
        };
        match measured {
            Ok(report) => report,
            Err(Refusal::Skipped(reason)) => empty.skipped_because(&reason),
            Err(Refusal::Failed(reason)) => empty.failed_because(reason),
        }
    }

    fn measure(
        &self,
        mode: &ToolMode,
        (tree, files): (&FormulaTree, &ToolFiles),
        reference: &Reference,
        empty: ModeReport,
    ) -> Result<ModeReport, Refusal> {
        let Comparison { result, repeat, rows, .. } = *self.comparison;
        let (mut tool, loaded) = ToolProcess::start(self.tools, mode, files)?;
        tool.prepare(tree, None, result)?;
        let first = tool.run()?;
        let mut times = Vec::with_capacity(repeat.get());
        // The first run may include compilation, so only timed runs count towards the limit.
        while times.len() < repeat.get() && times.iter().sum::<f64>() < MAX_TIME_PER_MODE.as_secs_f64() * 1e3
        {
            times.push(tool.run()?);
        }
        times.sort_by(f64::total_cmp);
        let (verified, evaluated) = tool.verify(reference)?;
        let output_bytes = (result == ResultSink::Parquet).then(|| total_bytes(tool.answer()));
        let details =
            ToolDetails { version: loaded.version, import_ms: loaded.import_ms, load_ms: loaded.load_ms };
        Ok(ModeReport {
            threads: loaded.threads,
            rows: evaluated as u64,
            peer: Some(details),
            output_bytes,
            ..empty.timed(first, &times, rows, verified)
        })
    }
}

/// Checks that the Python interpreter can be run; returns why not.
pub fn interpreter(tools: &ExternalTools) -> Result<(), String> {
    let python = tools.python.display();
    match Command::new(&tools.python).arg("--version").output() {
        Ok(version) if version.status.success() => Ok(()),
        Ok(_) => Err(format!("'{python}' is not a Python interpreter")),
        Err(error) => Err(format!("'{python}' cannot be run: {error}")),
    }
}

/// The reason to skip external tools for a formula with a part that they do not have.
pub fn no_counterpart(part: &str) -> String {
    format!("peers evaluate operations on Float64 columns and constants, and have no counterpart of {part}")
}
