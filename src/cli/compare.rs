//! `warpframe compare`: runs every mode on the same rows.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use warpframe::DEFAULT_ROWS;
use warpframe::compare::report::{sweep_chart, terminal};
use warpframe::compare::{
    Comparison, Event, ExternalTools, Mode, Report, ResultSink, Source, Status, Sweep, external_tools, sweep,
};
use warpframe::rows::{Distribution, RowGenerator};
use warpframe::{private_folder, private_folder_in};

use super::cluster::ClusterArguments;
use super::error::CliError;
use super::progress::spinner;
use super::runtime::all_cores;
use super::signals::interrupt;
use super::values;

/// The default for the largest number of rows of a sweep.
const MAX_SWEEP_ROWS: u64 = 100_000_000;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The formula: a SQL expression over x, y and z, such as 'sqrt(x*x+1)*sin(x)+cos(y/2)'; log3(x, y, z) by default
    #[arg(long, value_name = "SQL")]
    expr: Option<String>,
    /// The number of rows; 10,000,000 by default
    #[arg(long, value_name = "N", value_parser = values::rows)]
    rows: Option<u64>,
    /// The values of x, y and z: sequence (x = y = z = 1, 2, 3, ...) or uniform (in (0, 1e6])
    #[arg(long, default_value_t, value_parser = values::named::<Distribution>)]
    distribution: Distribution,
    /// The seed of the uniform distribution
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where the rows are when the clock starts: memory or parquet
    #[arg(long, default_value_t, value_parser = values::named::<Source>)]
    source: Source,
    /// What each mode produces: collect (arrays in memory), sum or parquet
    #[arg(long, default_value_t, value_parser = values::named::<ResultSink>)]
    result: ResultSink,
    /// The modes to run: interpreted, columnar, vectorized, parallel, rayon, cuda, cuda-resident, cluster-threads-1,
    /// cluster-threads, cluster-processes-1, cluster-processes, cluster; all by default
    #[arg(long, value_delimiter = ',', value_parser = values::named::<Mode>)]
    modes: Vec<Mode>,
    /// The number of timed runs of each mode; slow modes have fewer
    #[arg(long, value_name = "N", default_value = "7", value_parser = values::count)]
    repeat: NonZeroUsize,
    /// The number of threads of parallel modes; all cores by default
    #[arg(long, value_parser = values::threads)]
    threads: Option<NonZeroUsize>,
    /// The folder for report.html, report.svg, report.png and report.json; a new temporary folder by default
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Also write the JSON report to this file; '-' is stdout, and replaces the table there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compare with 1,000, 10,000, ... rows, up to --rows or 100,000,000
    #[arg(long)]
    sweep: bool,
    /// Also run external tools on the same rows: all of them, or those named, such as numba,dask
    #[arg(long, value_name = "NAMES", num_args = 0..=1, value_delimiter = ',', default_missing_value = "")]
    peers: Option<Vec<String>>,
    /// The Python interpreter for --peers; WARPFRAME_PYTHON or python3 by default
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// The time limit for each mode of an external tool
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = values::count)]
    peer_timeout: NonZeroUsize,
    #[command(flatten)]
    cluster: ClusterArguments,
}

impl Arguments {
    /// The external tools that `--peers` selects.
    fn external_tools(&self) -> Result<Option<ExternalTools>, CliError> {
        let Some(names) = &self.peers else { return Ok(None) };
        let names: Vec<_> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
        let names = match names.is_empty() && self.sweep {
            true => sweep::EXTERNAL_TOOLS.map(str::to_owned).to_vec(),
            false => names,
        };
        let modes = external_tools::select(&names).map_err(|error| CliError::usage(error.message()))?;
        let from_environment = || std::env::var_os("WARPFRAME_PYTHON").map(PathBuf::from);
        let python = self.python.clone().or_else(from_environment).unwrap_or_else(|| "python3".into());
        let timeout = Duration::from_secs(self.peer_timeout.get() as u64);
        Ok(Some(ExternalTools { modes, python, timeout }))
    }
}

pub async fn run(arguments: Arguments) -> Result<(), CliError> {
    let interrupted = interrupt();
    let external_tools = arguments.external_tools()?;
    // Create the folders first, so that a missing permission is found before the comparison runs.
    let folder = match &arguments.report {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| cannot_write(folder, error))?;
            folder.clone()
        }
        None => new_report_folder()?,
    };
    let work_folder =
        private_folder_in(".warpframe-compare-", &folder).map_err(|error| cannot_write(&folder, error))?;
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
        result: arguments.result,
        modes,
        repeat: arguments.repeat,
        threads: arguments.threads.unwrap_or_else(all_cores),
        work_folder: work_folder.path().to_owned(),
        program: std::env::current_exe().ok(),
        cluster: arguments.cluster.settings()?,
        gpus: None,
        external_tools,
    };
    let sweep = arguments.sweep;
    let running = tokio::task::spawn_blocking(move || {
        let spinner = spinner();
        let on_event = |event: Event| match event {
            Event::Size(rows) => spinner.suspend(|| eprintln!("{rows} rows")),
            Event::MakingRows => spinner.set_message("making rows"),
            Event::Mode(mode, source) => spinner.set_message(format!("{mode} from {source}: first run")),
            Event::ExternalTool(mode) => spinner.set_message(mode.to_string()),
            Event::Repeat(mode, run, of) => spinner.set_message(format!("{mode}: {run} of {of}")),
            Event::Done(mode) => spinner.suspend(|| print_mode(mode)),
        };
        let found = match sweep {
            true => Sweep::run(&comparison, &command_line(), &on_event).map(Findings::Sweep),
            false => {
                comparison.run(command_line(), &on_event).map(|report| Findings::Report(Box::new(report)))
            }
        };
        spinner.finish_and_clear();
        found
    });
    let found = tokio::select! {
        found = running => Some(found.map_err(CliError::failure)?),
        () = interrupted => None,
    };
    drop(work_folder);
    if arguments.report.is_none() && !matches!(found, Some(Ok(_))) {
        let _ = std::fs::remove_dir(&folder);
    }
    let Some(found) = found else {
        // Modes cannot be cancelled: exit, now that the temporary folders are removed.
        CliError::Interrupted.print();
        std::process::exit(130);
    };
    let found = found?;
    let (written, page, failures) = match &found {
        Findings::Report(report) => (report.write_to(&folder), "report.html", report.has_failures()),
        Findings::Sweep(sweep) => (sweep_chart::write(sweep, &folder), "sweep.html", sweep.has_failures()),
    };
    written.map_err(|error| cannot_write(&folder, error))?;
    print(&found, arguments.json.as_deref())?;
    eprintln!("report: {}", folder.join(page).display());
    match failures {
        true => Err(CliError::failure("a mode failed, see above")),
        false => Ok(()),
    }
}

/// The findings of a comparison or a sweep.
enum Findings {
    Report(Box<Report>),
    Sweep(Sweep),
}

fn print(found: &Findings, json: Option<&std::path::Path>) -> Result<(), CliError> {
    let (table, text) = match found {
        Findings::Report(report) => (terminal::table(report), report.to_json()?),
        Findings::Sweep(sweep) => (sweep_chart::table(sweep), sweep.to_json()?),
    };
    let mut out = std::io::stdout().lock();
    match json {
        Some(path) if path.as_os_str() == "-" => writeln!(out, "{text}")?,
        Some(path) => {
            std::fs::write(path, text + "\n").map_err(|error| cannot_write(path, error))?;
            write!(out, "{table}")?;
        }
        None => write!(out, "{table}")?,
    }
    Ok(())
}

fn print_mode(mode: &warpframe::compare::ModeReport) {
    match (mode.status, mode.median_ms) {
        (Status::Ok, Some(median)) => {
            let times = if mode.repeats == 1 { "once" } else { "times" };
            let repeats = if mode.repeats == 1 { String::new() } else { format!("{} ", mode.repeats) };
            eprintln!("{:<20} {:<8} {median:>10.1} ms  (timed {repeats}{times})", mode.mode, mode.source);
        }
        _ => eprintln!("{:<20} {:<8} {}", mode.mode, mode.source, mode.reason.as_deref().unwrap_or_default()),
    }
}

fn new_report_folder() -> Result<PathBuf, CliError> {
    let folder = private_folder("warpframe-report-").map_err(CliError::failure)?;
    Ok(folder.keep())
}

fn cannot_write(path: &std::path::Path, error: impl std::fmt::Display) -> CliError {
    CliError::failure(format!("cannot write '{}': {error}", path.display()))
}

/// The command line, quoted for a shell.
fn command_line() -> String {
    let arguments = std::env::args().skip(1).map(|argument| {
        let plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "-_=./,:".contains(c));
        if plain && !argument.is_empty() {
            argument
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    });
    ["warpframe".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}
