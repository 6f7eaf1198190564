//! Runs external tools, one at a time, each in a separate process. They read the rows from files, time themselves with
//! the same threads and number of runs as the modes, and write the result of their last run, which is verified here.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use arrow::array::{Float64Array, RecordBatch};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::ipc::writer::FileWriter;
use datafusion::common::{DataFusionError, Result, exec_err};
use serde::Deserialize;

use super::comparison::Comparison;
use super::external_tools::{ExternalTools, PROGRAMS, ToolMode};
use super::measure::MAX_TIME_PER_MODE;
use super::output_files::{read_back, total_bytes};
use super::report::model::{ModeReport, ToolDetails};
use super::verify::{Answer, Reference, Verified};
use super::workload::{ResultSink, Source};
use warpframe_io::file_error;

/// The JSON object that a tool prints as its last line. Times are in milliseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolReport {
    skipped: Option<String>,
    failed: Option<String>,
    version: String,
    import_ms: f64,
    load_ms: f64,
    first_ms: f64,
    times_ms: Vec<f64>,
    threads: usize,
    rows: usize,
    sum: Option<f64>,
}

/// Runs the external tools of a comparison.
pub struct ToolRunner<'a> {
    comparison: &'a Comparison,
    tools: &'a ExternalTools,
    folder: PathBuf,
    /// Why none of the tools can run, if so.
    reason: Option<String>,
}

impl<'a> ToolRunner<'a> {
    /// Writes the rows and the Python programs into the work folder.
    pub fn prepare(comparison: &'a Comparison, tools: &'a ExternalTools, rows: &RecordBatch) -> Result<Self> {
        let folder = comparison.work_folder.join("peers");
        let failed = |error: std::io::Error| file_error("write", &folder, error);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        for (name, text) in PROGRAMS {
            std::fs::write(folder.join(name), text).map_err(failed)?;
        }
        let reason = match Command::new(&tools.python).arg("--version").output() {
            _ if comparison.expression.is_some() => Some("the peers know log3 only".to_owned()),
            _ if comparison.result != ResultSink::Parquet && comparison.source == Source::Parquet => {
                Some("peers read columns in memory: use --source memory, or --result parquet".to_owned())
            }
            Ok(version) if version.status.success() => None,
            Ok(_) => Some(format!("'{}' is not a Python interpreter", tools.python.display())),
            Err(error) => Some(format!("'{}' cannot be run: {error}", tools.python.display())),
        };
        if reason.is_none() {
            let file = File::create(folder.join("rows.arrow")).map_err(failed)?;
            let mut writer = FileWriter::try_new(file, &rows.schema())?;
            writer.write(rows)?;
            writer.finish()?;
        }
        Ok(Self { comparison, tools, folder, reason })
    }

    /// Runs a mode of a tool and verifies its result.
    pub fn run(&self, mode: &ToolMode, reference: &Reference) -> ModeReport {
        let source = match self.comparison.result {
            ResultSink::Parquet => Source::Parquet,
            _ => Source::Memory,
        };
        let empty = ModeReport::of_tool(mode, source);
        if let Some(reason) = &self.reason {
            return empty.skipped_because(reason);
        }
        let measured = self.run_process(mode).and_then(|report| match &report.skipped {
            Some(_) => Ok((report, None)),
            None => self.verify(&report, reference).map(|verified| (report, Some(verified))),
        });
        match measured {
            Err(error) => empty.failed_because(error.message().into_owned()),
            Ok((report, None)) => empty.skipped_because(&report.skipped.unwrap_or_default()),
            Ok((mut report, Some(verified))) => {
                report.times_ms.sort_by(f64::total_cmp);
                let details = ToolDetails {
                    version: report.version,
                    import_ms: report.import_ms,
                    load_ms: report.load_ms,
                };
                let timed = empty.timed(report.first_ms, &report.times_ms, self.comparison.rows, verified);
                ModeReport {
                    threads: report.threads,
                    rows: report.rows as u64,
                    peer: Some(details),
                    output_bytes: match self.comparison.result {
                        ResultSink::Parquet => Some(total_bytes(&self.answer())),
                        _ => None,
                    },
                    ..timed
                }
            }
        }
    }

    /// The file or folder with the result of the last run.
    fn answer(&self) -> PathBuf {
        self.folder.join("answer.parquet")
    }

    /// Verifies the result of the last run.
    fn verify(&self, report: &ToolReport, reference: &Reference) -> Result<Verified> {
        let reference = reference.first(report.rows);
        match (self.comparison.result, report.sum) {
            (ResultSink::Sum, Some(sum)) => reference.verify(Answer::Sum(sum)),
            (ResultSink::Sum, None) => exec_err!("wrong answer: there is no sum"),
            (ResultSink::Collect, _) => {
                let path = self.answer();
                let bytes = std::fs::read(&path).map_err(|error| file_error("read", &path, error))?;
                let rows = bytes.len() / size_of::<f64>();
                let rows = ScalarBuffer::new(Buffer::from_vec(bytes), 0, rows);
                reference.verify(Answer::Rows(vec![Float64Array::new(rows, None)]))
            }
            // Some tools do not write the rows in input order.
            (ResultSink::Parquet, _) => reference.verify(Answer::Unordered(read_back(&self.answer())?)),
        }
    }

    /// Runs the program, and kills it after the timeout.
    fn run_process(&self, mode: &ToolMode) -> Result<ToolReport> {
        let comparison = self.comparison;
        let settings = serde_json::json!({
            "program": mode.program,
            "mode": mode.name,
            "rows": comparison.rows,
            "result": comparison.result.name(),
            "repeat": comparison.repeat,
            "budget_ms": MAX_TIME_PER_MODE.as_millis() as u64,
            "threads": comparison.threads,
            "arrow": self.folder.join("rows.arrow"),
            "parquet": comparison.rows_file(),
            "answer": self.answer(),
        });
        let errors = self.folder.join("stderr");
        let failed = |error: std::io::Error| file_error("run", &self.tools.python, error);
        let mut command = Command::new(&self.tools.python);
        command
            .arg(self.folder.join("run.py"))
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).map_err(failed)?);
        for library in ["OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA"] {
            command.env(format!("{library}_NUM_THREADS"), comparison.threads.to_string());
        }
        command.env("POLARS_MAX_THREADS", comparison.threads.to_string());
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        // A process group, so that the processes that it starts can be killed with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = ProcessGroup(command.spawn().map_err(failed)?);

        let output = process.0.stdout.take();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = output.map(|mut output| output.read_to_string(&mut text));
            text
        });
        let start = Instant::now();
        while process.0.try_wait().map_err(failed)?.is_none() {
            if start.elapsed() > self.tools.timeout {
                return exec_err!("it took longer than {} seconds", self.tools.timeout.as_secs());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Kills its children, which may keep its stdout open.
        drop(process);
        let text = reader.join().unwrap_or_default();
        let report = text.lines().last().and_then(|line| serde_json::from_str::<ToolReport>(line).ok());
        match report {
            Some(ToolReport { failed: Some(why), .. }) => Err(DataFusionError::Execution(why)),
            Some(report) => Ok(report),
            None => {
                let errors = std::fs::read_to_string(&errors).unwrap_or_default();
                exec_err!(
                    "it ended without an answer: {}",
                    errors.lines().last().unwrap_or("it printed no error")
                )
            }
        }
    }
}

/// A process that is killed on drop, with its process group.
struct ProcessGroup(Child);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        #[cfg(unix)]
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", self.0.id())])
            .stderr(Stdio::null())
            .status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
