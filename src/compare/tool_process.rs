//! The process of one mode of an external tool, which answers requests: see `benches/peers/run.py` for the protocol.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use arrow::array::{Float64Array, RecordBatch};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::ipc::writer::FileWriter;
use datafusion::common::{DataFusionError, Result, exec_err};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::external_tools::{ExternalTools, PROGRAMS, ToolMode};
use super::formula_tree::FormulaTree;
use super::output_files::read_back;
use super::report::Status;
use super::verify::{Answer, Reference, ResultsOf, Verified};
use super::workload::ResultSink;
use warpframe_io::file_error;

/// The time in which a process must end after its last request. Then it is killed.
const TIME_TO_CLOSE: Duration = Duration::from_secs(5);

/// The files that the processes of external tools read: the Python programs, and the rows.
pub struct ToolFiles {
    folder: PathBuf,
    /// The rows as Parquet, which exist only if results are Parquet too.
    parquet: PathBuf,
    rows: usize,
    threads: usize,
}

impl ToolFiles {
    /// Writes the files into a folder, which is created. `threads` is the number of threads that the tools may use.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(folder: PathBuf, parquet: PathBuf, rows: &RecordBatch, threads: usize) -> Result<Self> {
        let failed = |error: std::io::Error| file_error("write", &folder, error);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        for (name, text) in PROGRAMS {
            std::fs::write(folder.join(name), text).map_err(failed)?;
        }
        let file = File::create(folder.join("rows.arrow")).map_err(failed)?;
        let mut writer = FileWriter::try_new(file, &rows.schema())?;
        writer.write(rows)?;
        writer.finish()?;
        Ok(Self { folder, parquet, rows: rows.num_rows(), threads })
    }
}

/// Why a tool has not done what was asked.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// It cannot do that, or cannot run on this machine.
    Skipped(String),
    /// It failed.
    Failed(String),
}

impl Refusal {
    /// The outcome and the reason, as reports show them.
    pub fn into_parts(self) -> (Status, String) {
        match self {
            Self::Skipped(reason) => (Status::Skipped, reason),
            Self::Failed(reason) => (Status::Failed, reason),
        }
    }
}

impl From<DataFusionError> for Refusal {
    fn from(error: DataFusionError) -> Self {
        Self::Failed(error.message().into_owned())
    }
}

/// What a process tells when it has loaded the rows. Times are in milliseconds.
#[derive(Debug, Clone, Deserialize)]
pub struct Loaded {
    /// The versions of its Python packages.
    pub version: String,
    /// From the start of the interpreter to the end of its imports.
    pub import_ms: f64,
    /// Converting the rows to the tool's own format.
    pub load_ms: f64,
    /// The number of threads.
    pub threads: usize,
}

/// The answer to a request, or why there is none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reply<T> {
    Skipped { skipped: String },
    Failed { failed: String },
    Done(T),
}

#[derive(Deserialize)]
struct Prepared {}

#[derive(Deserialize)]
struct Run {
    /// In milliseconds.
    ms: f64,
}

/// What is known about the result of the last run.
#[derive(Deserialize)]
struct Saved {
    /// The number of rows that it evaluated, the first of all rows.
    rows: usize,
    /// The sum, if that is the result.
    sum: Option<f64>,
}

/// A process of a mode of an external tool, with the rows loaded. It is stopped on drop.
pub struct ToolProcess {
    process: ProcessGroup,
    requests: Option<ChildStdin>,
    replies: Receiver<String>,
    errors: PathBuf,
    answer: PathBuf,
    timeout: Duration,
    result: ResultSink,
}

impl ToolProcess {
    /// Starts a process and waits until it has loaded the rows.
    ///
    /// # Errors
    /// The tool is not installed or cannot run on this machine, fails, or takes longer than the limit.
    pub fn start(
        tools: &ExternalTools,
        mode: &ToolMode,
        files: &ToolFiles,
    ) -> Result<(Self, Loaded), Refusal> {
        let answer = files.folder.join(format!("answer-{}.parquet", mode.name));
        let settings = serde_json::json!({
            "program": mode.program,
            "mode": mode.name,
            "rows": files.rows,
            "threads": files.threads,
            "arrow": files.folder.join("rows.arrow"),
            "parquet": files.parquet,
            "answer": answer,
        });
        let errors = files.folder.join(format!("stderr-{}", mode.name));
        let failed = |error: std::io::Error| Refusal::from(file_error("run", &tools.python, error));
        let mut command = Command::new(&tools.python);
        command
            .arg(files.folder.join("run.py"))
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).map_err(failed)?);
        for library in ["OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA", "BLOSC"] {
            let suffix = if library == "BLOSC" { "NTHREADS" } else { "NUM_THREADS" };
            command.env(format!("{library}_{suffix}"), files.threads.to_string());
        }
        command.env("POLARS_MAX_THREADS", files.threads.to_string());
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        // A process group, so that the processes that it starts can be killed with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = ProcessGroup::start(&mut command).map_err(failed)?;
        let requests = process.child.stdin.take();
        let (sender, replies) = channel();
        if let Some(output) = process.child.stdout.take() {
            // Ends when the process and its children have closed their stdout, or when this side is dropped.
            std::thread::spawn(move || {
                let lines = BufReader::new(output).lines().map_while(std::io::Result::ok);
                lines.for_each(|line| drop(sender.send(line)));
            });
        }
        let result = ResultSink::Collect;
        let mut tool = Self { process, requests, replies, errors, answer, timeout: tools.timeout, result };
        let loaded = tool.reply()?;
        Ok((tool, loaded))
    }

    /// Prepares a formula over the rows that meet a condition, or over all rows, for the following runs.
    ///
    /// # Errors
    /// The tool lacks an operation or a kind of result, or fails.
    pub fn prepare(
        &mut self,
        formula: &FormulaTree,
        filter: Option<&FormulaTree>,
        result: ResultSink,
    ) -> Result<(), Refusal> {
        self.result = result;
        let query = serde_json::json!({ "formula": formula, "filter": filter, "result": result.name() });
        self.ask::<Prepared>(&serde_json::json!({ "prepare": query })).map(drop)
    }

    /// Runs the prepared query once, and returns its time in milliseconds.
    ///
    /// # Errors
    /// The tool lacks the kind of result, fails or takes longer than the limit.
    pub fn run(&mut self) -> Result<f64, Refusal> {
        Ok(self.ask::<Run>(&serde_json::json!({ "run": true }))?.ms)
    }

    /// Verifies the result of the last run. Also returns the number of rows that it evaluated, the first of all rows.
    ///
    /// # Errors
    /// The result is wrong, or cannot be read.
    pub fn verify(&mut self, reference: &Reference) -> Result<(Verified, usize), Refusal> {
        let Saved { rows, sum } = self.ask(&serde_json::json!({ "answer": true }))?;
        let answer = match (self.result, sum) {
            (ResultSink::Sum, Some(sum)) => Answer::Sum(sum),
            (ResultSink::Sum, None) => {
                return Err(Refusal::Failed("wrong answer: there is no sum".to_owned()));
            }
            (ResultSink::Collect, _) => Answer::Rows(vec![read_numbers(&self.answer)?]),
            // Some tools do not write the rows in input order.
            (ResultSink::Parquet, _) => Answer::Unordered(read_back(&self.answer)?),
        };
        Ok((reference.first(rows).verify(answer, ResultsOf::Tool)?, rows))
    }

    /// The file or folder with the result of the last run.
    pub fn answer(&self) -> &Path {
        &self.answer
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &serde_json::Value) -> Result<T, Refusal> {
        let sent =
            self.requests.as_mut().map(|stdin| writeln!(stdin, "{request}").and_then(|()| stdin.flush()));
        match sent {
            Some(Ok(())) => self.reply(),
            _ => Err(Refusal::Failed(self.last_error())),
        }
    }

    fn reply<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        let failed = |why: String| Err(Refusal::Failed(why));
        match self.replies.recv_timeout(self.timeout) {
            Err(RecvTimeoutError::Timeout) => {
                // Nothing that it does later can be the answer to the next request.
                self.process.kill();
                failed(format!("it took longer than {} seconds", self.timeout.as_secs()))
            }
            Err(RecvTimeoutError::Disconnected) => failed(self.last_error()),
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Reply::Done(reply)) => Ok(reply),
                Ok(Reply::Skipped { skipped }) => Err(Refusal::Skipped(skipped)),
                Ok(Reply::Failed { failed: why }) => failed(why),
                Err(_) => failed(format!("it answered '{line}', which is not an answer to the request")),
            },
        }
    }

    /// Why there is no answer, from the last line of stderr.
    fn last_error(&self) -> String {
        let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
        format!("it ended without an answer: {}", errors.lines().last().unwrap_or("it printed no error"))
    }
}

impl Drop for ToolProcess {
    fn drop(&mut self) {
        // Lets the tool stop what it has started and remove its files.
        let asked = self.requests.take().map(|mut stdin| (writeln!(stdin, "{{\"close\": true}}"), stdin));
        let start = Instant::now();
        while asked.is_some() && start.elapsed() < TIME_TO_CLOSE && self.process.is_running() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The numbers in a file: `f64` in the byte order of this machine.
fn read_numbers(path: &Path) -> Result<Float64Array> {
    let bytes = std::fs::read(path).map_err(|error| file_error("read", path, error))?;
    let rows = bytes.len() / size_of::<f64>();
    if rows * size_of::<f64>() != bytes.len() {
        return exec_err!("wrong answer: the results are not of 8 bytes each");
    }
    Ok(Float64Array::new(ScalarBuffer::new(Buffer::from_vec(bytes), 0, rows), None))
}

/// The groups of the running processes.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Kills all running tools, for a process that has to end before their modes do. Tools are not in the process group of this
/// process, which a terminal sends its signals to.
pub fn kill_tools() {
    for group in RUNNING.lock().iter() {
        kill_group(*group);
    }
}

fn kill_group(group: u32) {
    #[cfg(unix)]
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).stderr(Stdio::null()).status();
    #[cfg(not(unix))]
    let _ = group;
}

/// A process that is killed on drop, with its process group.
struct ProcessGroup {
    child: Child,
}

impl ProcessGroup {
    fn start(command: &mut Command) -> std::io::Result<Self> {
        let mut running = RUNNING.lock();
        let child = command.spawn()?;
        running.push(child.id());
        Ok(Self { child })
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn kill(&mut self) {
        let mut running = RUNNING.lock();
        kill_group(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        running.retain(|group| *group != self.child.id());
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
    }
}
