//! `warpframe compare`: runs every mode on the same rows.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use super::cluster::ClusterArguments;
use super::error::CliError;
use super::output::STANDARD;
use super::runtime::all_cores;
use super::signals::interrupt;
use super::values;
use crate::compare::report::format::{format_ms, wrap};
use crate::compare::report::{suite_page, sweep_chart, terminal};
use crate::compare::suite::{self, CaseReport, Suite, SuiteReport};
use crate::compare::{
    Comparison, Event, ExternalTools, Mode, ModeReport, Report, ResultSink, RunningCluster, Source, Status,
    Sweep, external_tools, kill_tools, sweep,
};
use crate::counts::count;
use crate::session::DEFAULT_ROWS;
use crate::terminal_text::escape_controls;
use warpframe_cluster::Launcher;
use warpframe_datafusion::rows::{Distribution, RowGenerator};
use warpframe_io::private_folder_in;

/// The default number of timed runs of each mode.
const DEFAULT_REPEAT: NonZeroUsize = NonZeroUsize::new(7).unwrap();

/// The default for the largest number of rows of a sweep.
const MAX_SWEEP_ROWS: u64 = 100_000_000;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The formula: a SQL expression over x, y and z, such as 'sqrt(x*x+1)*sin(x)+cos(y/2)'; log3(x, y, z) by default
    #[arg(long, value_name = "SQL", allow_hyphen_values = true)]
    expr: Option<String>,
    /// The number of rows; 10,000,000 by default, 4,000,000 of a suite
    #[arg(long, value_name = "N", value_parser = values::rows)]
    rows: Option<u64>,
    /// The values of x, y and z: sequence (x = y = z = 1, 2, 3, ...) or uniform (in (0, 1e6]); those of a suite are uniform in
    /// (0, 100]
    #[arg(long, default_value_t, value_parser = values::named::<Distribution>)]
    distribution: Distribution,
    /// The seed of the uniform distribution
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where the rows are when the clock starts: memory or parquet
    #[arg(long, default_value_t, value_parser = values::named::<Source>)]
    source: Source,
    /// What each mode produces: collect (arrays in memory), sum or parquet; collect by default, collect and sum in a suite
    #[arg(long, value_parser = values::named::<ResultSink>)]
    result: Option<ResultSink>,
    /// The modes to run: interpreted, columnar, vectorized, parallel, rayon, cuda, cuda-resident, cluster-threads-1,
    /// cluster-threads, cluster-processes-1, cluster-processes, cluster; all by default, vectorized and parallel in a suite
    #[arg(long, value_delimiter = ',', value_parser = values::named::<Mode>)]
    modes: Vec<Mode>,
    /// The number of timed runs of each mode, fewer for slow modes; 7 by default, 5 in a suite
    #[arg(long, value_name = "N", value_parser = values::count)]
    repeat: Option<NonZeroUsize>,
    /// The number of threads of parallel modes; all cores by default
    #[arg(long, value_parser = values::threads)]
    threads: Option<NonZeroUsize>,
    /// The folder for report.html, report.svg, report.png and report.json (sweep.* of a sweep, suite.* of a suite), which
    /// replace those of an earlier comparison
    #[arg(long, value_name = "DIR", default_value = "warpframe-report")]
    report: PathBuf,
    /// Also write the JSON report to this file; '-' is stdout, and replaces the table there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compare with 1,000, 10,000, ... rows, up to --rows or 100,000,000
    #[arg(long)]
    sweep: bool,
    /// Compare several formulas with external tools, interleaved: twelve, or those named, such as sigmoid,rotation
    #[arg(
        long,
        value_name = "FORMULAS",
        num_args = 0..=1,
        value_delimiter = ',',
        default_missing_value = "",
        conflicts_with_all = ["expr", "sweep", "source", "distribution"]
    )]
    suite: Option<Vec<String>>,
    /// The percentages of rows that the conditions of a suite keep; 100 is no condition
    #[arg(
        long,
        value_name = "PERCENT",
        value_delimiter = ',',
        default_value = "100,10,90",
        requires = "suite",
        value_parser = clap::value_parser!(u8).range(1..=100)
    )]
    keep: Vec<u8>,
    /// Also run external tools on the same rows: all of them, or those named, such as numba,dask. A suite runs one or two modes of
    /// each tool of the CPU by default
    #[arg(long, value_name = "NAMES", num_args = 0..=1, value_delimiter = ',', default_missing_value = "")]
    peers: Option<Vec<String>>,
    /// The Python interpreter for --peers; by default WARPFRAME_PYTHON, the interpreter of this command if it was installed as a
    /// Python package, or python3
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// The time limit for loading the rows into an external tool, and for each of its runs
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = values::count)]
    peer_timeout: NonZeroUsize,
    #[command(flatten)]
    cluster: ClusterArguments,
}

impl Arguments {
    /// Checks the path for the JSON, so that a comparison does not run in vain.
    fn check_json(&self) -> Result<(), CliError> {
        let Some(path) = self.json.as_deref().filter(|path| path.as_os_str() != STANDARD) else {
            return Ok(());
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if path.is_dir() {
            return Err(CliError::usage(format!("'{}' is a folder: give --json a file", path.display())));
        }
        match folder {
            Some(folder) if !folder.is_dir() => {
                Err(CliError::usage(format!("there is no folder '{}': make it for --json", folder.display())))
            }
            _ => Ok(()),
        }
    }

    /// The external tools that `--peers` selects.
    fn external_tools(&self) -> Result<Option<ExternalTools>, CliError> {
        let names = match &self.peers {
            None if self.suite.is_none() => return Ok(None),
            names => named(names.as_deref().unwrap_or_default()),
        };
        let modes = match names.is_empty() {
            true if self.sweep => external_tools::with_names(&sweep::EXTERNAL_TOOLS),
            true if self.suite.is_some() => external_tools::with_names(&suite::EXTERNAL_TOOLS),
            _ => external_tools::select(&names).map_err(|error| CliError::usage(error.message()))?,
        };
        let from_environment = || std::env::var_os("WARPFRAME_PYTHON").map(PathBuf::from);
        let python = self.python.clone().or_else(from_environment).unwrap_or_else(|| "python3".into());
        let timeout = Duration::from_secs(self.peer_timeout.get() as u64);
        Ok(Some(ExternalTools { modes, python, timeout }))
    }

    /// The suite that `--suite` selects.
    fn suite(&self, work_folder: PathBuf) -> Result<Option<Suite>, CliError> {
        let (Some(formulas), Some(external_tools)) = (&self.suite, self.external_tools()?) else {
            return Ok(None);
        };
        let formulas = suite::select(&named(formulas)).map_err(|error| CliError::usage(error.message()))?;
        if self.result == Some(ResultSink::Parquet) {
            return Err(CliError::usage("a suite writes no Parquet: use --result collect or sum"));
        }
        let modes = if self.modes.is_empty() { suite::MODES.to_vec() } else { self.modes.clone() };
        if let Some(mode) = modes.iter().find(|mode| !suite::POSSIBLE_MODES.contains(mode)) {
            let possible = suite::POSSIBLE_MODES.map(Mode::name).join(", ");
            return Err(CliError::usage(format!(
                "the mode {mode} cannot take part in a suite: use some of {possible}"
            )));
        }
        Ok(Some(Suite {
            formulas,
            results: self.result.map_or_else(|| suite::RESULTS.to_vec(), |result| vec![result]),
            keep: self.keep.clone(),
            modes,
            external_tools,
            rows: self.rows.unwrap_or(suite::ROWS),
            seed: self.seed,
            repeat: self.repeat.unwrap_or(suite::REPEAT),
            threads: self.threads.unwrap_or_else(all_cores),
            work_folder,
        }))
    }
}

/// The names of a list; an empty one is none.
fn named(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !name.is_empty()).cloned().collect()
}

/// Runs the comparison. Its reports show `command_line`, and `launcher` starts executor processes.
pub async fn run(
    arguments: Arguments,
    command_line: String,
    launcher: Option<Launcher>,
) -> Result<(), CliError> {
    let external_tools = arguments.external_tools()?;
    // Wrong usage is found before a folder is created.
    arguments.suite(PathBuf::new())?;
    // Create the folders first, so that a missing permission is found before the comparison runs.
    let folder = arguments.report.clone();
    let is_new = !folder.exists();
    std::fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
    if let Err(error) = arguments.check_json() {
        if is_new {
            let _ = std::fs::remove_dir(&folder);
        }
        return Err(error);
    }
    let work_folder =
        private_folder_in(".warpframe-compare-", &folder).map_err(|error| cannot_write(&folder, error))?;
    let suite = arguments.suite(work_folder.path().to_owned())?;
    let modes = match arguments.modes.is_empty() {
        false => arguments.modes,
        true if arguments.sweep => sweep::MODES.to_vec(),
        // The mode `cluster` is a default only with --cluster.
        true => {
            let all = Mode::ALL.iter().copied();
            all.filter(|mode| *mode != Mode::Cluster || arguments.cluster.is_named()).collect()
        }
    };
    let comparison = Comparison {
        expression: arguments.expr,
        rows: arguments.rows.unwrap_or(if arguments.sweep { MAX_SWEEP_ROWS } else { DEFAULT_ROWS }),
        generator: RowGenerator { distribution: arguments.distribution, seed: arguments.seed },
        source: arguments.source,
        result: arguments.result.unwrap_or_default(),
        modes,
        repeat: arguments.repeat.unwrap_or(DEFAULT_REPEAT),
        threads: arguments.threads.unwrap_or_else(all_cores),
        work_folder: work_folder.path().to_owned(),
        launcher,
        cluster: arguments.cluster.settings()?,
        gpus: None,
        external_tools,
        running_cluster: RunningCluster::default(),
    };
    let running_cluster = comparison.running_cluster.clone();
    let sweep = arguments.sweep;
    let running = tokio::task::spawn_blocking(move || {
        let spinner = spinner();
        let on_event = |event: Event| match event {
            Event::Size(rows) => spinner.suspend(|| eprintln!("{}", count(rows, "row"))),
            Event::MakingRows => spinner.set_message("making rows"),
            Event::Mode(mode, source) => spinner.set_message(format!("{mode} from {source}: first run")),
            Event::ExternalTool(mode) => spinner.set_message(mode.to_string()),
            Event::Repeat(mode, run, of) => spinner.set_message(format!("{mode}: {run} of {of}")),
            Event::Done(mode) => spinner.suspend(|| print_mode(mode)),
            Event::Case(formula, case, of) => spinner.set_message(format!("{formula}: case {case} of {of}")),
            Event::CaseDone(case) => spinner.suspend(|| print_case(case)),
        };
        let found = match suite {
            Some(suite) => suite.run(command_line, &on_event).map(|report| Findings::Suite(Box::new(report))),
            None if sweep => Sweep::run(&comparison, &command_line, &on_event).map(Findings::Sweep),
            None => comparison.run(command_line, &on_event).map(|report| Findings::Report(Box::new(report))),
        };
        spinner.finish_and_clear();
        found
    });
    let found = tokio::select! {
        found = running => found.map_err(CliError::failure)?.map_err(CliError::from),
        signal = interrupt() => {
            // Their mode cannot be cancelled, and would wait for them.
            kill_tools();
            Err(CliError::Interrupted(signal))
        }
    };
    running_cluster.stop();
    drop(work_folder);
    if is_new && found.is_err() {
        // Fails if it is not empty.
        let _ = std::fs::remove_dir(&folder);
    }
    let found = found?;
    let (written, page, failures) = match &found {
        Findings::Report(report) => (report.write_to(&folder), "report.html", report.has_failures()),
        Findings::Sweep(sweep) => (sweep_chart::write(sweep, &folder), "sweep.html", sweep.has_failures()),
        Findings::Suite(suite) => (suite_page::write(suite, &folder), "suite.html", suite.has_failures()),
    };
    written.map_err(|error| cannot_write(&folder, error))?;
    print(&found, arguments.json.as_deref())?;
    eprintln!("report: {}", folder.join(page).display());
    match failures {
        true => Err(CliError::failure("a mode failed, see above")),
        false => Ok(()),
    }
}

/// The findings of a comparison, a sweep or a suite.
enum Findings {
    Report(Box<Report>),
    Sweep(Sweep),
    Suite(Box<SuiteReport>),
}

fn print(found: &Findings, json: Option<&std::path::Path>) -> Result<(), CliError> {
    let (table, text) = match found {
        Findings::Report(report) => (terminal::table(report), report.to_json()?),
        Findings::Sweep(sweep) => (sweep_chart::table(sweep), sweep.to_json()?),
        Findings::Suite(suite) => (suite_page::table(suite), suite.to_json()?),
    };
    let table = escape_controls(&table);
    let mut out = std::io::stdout().lock();
    match json {
        Some(path) if path.as_os_str() == STANDARD => writeln!(out, "{text}")?,
        Some(path) => {
            write!(out, "{table}")?;
            std::fs::write(path, text + "\n").map_err(|error| cannot_write(path, error))?;
        }
        None => write!(out, "{table}")?,
    }
    Ok(())
}

fn print_mode(mode: &ModeReport) {
    match (mode.status, mode.median_ms) {
        (Status::Ok, Some(median)) => {
            let times = if mode.repeats == 1 { "once" } else { "times" };
            let repeats = if mode.repeats == 1 { String::new() } else { format!("{} ", mode.repeats) };
            let median = format_ms(median);
            eprintln!("{:<20} {:<8} {median:>13}  (timed {repeats}{times})", mode.mode, mode.source);
        }
        _ => {
            let reason = escape_controls(mode.reason.as_deref().unwrap_or_default());
            let line = format!("{:<20} {:<8} {reason}", mode.mode, mode.source);
            eprintln!("{}", wrap(&line, 30).join("\n"));
        }
    }
}

/// Prints the modes and the fastest external tool of a case, and what failed.
fn print_case(case: &CaseReport) {
    let timed = case.measurements.iter().filter_map(|one| Some((one.tool.as_str(), one.median_ms?)));
    let (own, external): (Vec<_>, Vec<_>) =
        timed.partition(|(tool, _)| Mode::ALL.iter().any(|mode| mode.name() == *tool));
    let fastest = external.into_iter().min_by(|one, other| one.1.total_cmp(&other.1));
    let times: Vec<_> = own
        .into_iter()
        .chain(fastest)
        .map(|(tool, median)| format!("{tool} {}", format_ms(median)))
        .collect();
    eprintln!("{:<16} {:<30} {}", case.formula, case.describe(), times.join(", "));
    for failed in case.measurements.iter().filter(|one| one.status == Status::Failed) {
        let reason = escape_controls(failed.reason.as_deref().unwrap_or_default());
        eprintln!("  {} failed: {reason}", failed.tool);
    }
}

fn cannot_write(path: &std::path::Path, error: impl std::fmt::Display) -> CliError {
    CliError::failure(format!("cannot write '{}': {error}", path.display()))
}

/// A spinner with a message.
fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
