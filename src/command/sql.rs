//! `warpframe sql`: runs a query or a file of statements, or starts the shell.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use tokio::runtime::Runtime;

use super::cluster::ClusterArguments;
use super::csv_options::CsvArguments;
use super::error::CliError;
use super::notes::print_notes;
use super::output::{Display, Format, Limits, NonFinite, STANDARD, Target};
use super::runtime::{flush_cleanup, runtime};
use super::shell;
use super::signals::interruptible;
use super::statements::{execute, read};
use super::terminal::{self, DEFAULT_MAX_ROWS};
use super::values::{self, MaxRows};
use crate::file_tables::named_table;
use crate::session::Session;
use warpframe_datafusion::backend_names::{AUTO, NAMES};
use warpframe_datafusion::memory::MemoryLimit;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Run these statements, separated by ';', and exit
    #[arg(value_name = "SQL", conflicts_with_all = ["query", "file"])]
    statements: Option<String>,
    /// The same as SQL without an option
    #[arg(
        short = 'q',
        long,
        short_alias = 'c',
        alias = "command",
        value_name = "SQL",
        conflicts_with = "file",
        allow_hyphen_values = true
    )]
    query: Option<String>,
    /// Run the statements in this file and exit; - is the standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Run the statements in this file first, such as CREATE FUNCTION, without showing results
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Register files as a table: a file, a folder, a glob or a URL (s3, gs, az, https), of Parquet, CSV, TSV, JSON, NDJSON, Arrow
    /// IPC or Avro. Without a name, the table gets that of the file or folder
    #[arg(long = "table", value_name = "[NAME=]PATH")]
    tables: Vec<String>,
    #[command(flatten)]
    csv: CsvArguments,
    /// The format of results; by default a table, and for --out the format that the extension stands for
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What NaN and infinities become in JSON
    #[arg(long, value_enum, default_value = "string")]
    json_non_finite: NonFinite,
    /// The number of rows of a table that are shown, half of them from its end, or all; on a terminal 40, else all by default
    #[arg(long, value_name = "N", value_parser = values::max_rows)]
    max_rows: Option<MaxRows>,
    /// No progress bar, and no line with the number of rows and the time below tables
    #[arg(long)]
    quiet: bool,
    /// Write the result of the last statement to this file or pipe; - is the standard output, which is the default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace an existing output when the new one is complete
    #[arg(long, requires = "out")]
    overwrite: bool,
    /// The number of threads; all cores by default
    #[arg(long, value_parser = values::threads)]
    threads: Option<NonZeroUsize>,
    /// The memory limit of a query's operators: a size such as 512MiB, a percentage of the memory such as 50%, or none; 75% by
    /// default
    #[arg(long, value_name = "LIMIT", value_parser = values::named::<MemoryLimit>)]
    memory_limit: Option<MemoryLimit>,
    /// The backend of fused expressions and log3: auto, interpreted, simd, native or cuda
    #[arg(long, default_value = AUTO, value_parser = NAMES)]
    backend: String,
    #[command(flatten)]
    cluster: ClusterArguments,
}

impl Arguments {
    /// How results are shown.
    fn display(&self) -> Display {
        let is_terminal = terminal::is_terminal();
        let default_rows = is_terminal.then_some(DEFAULT_MAX_ROWS);
        Display {
            format: self.format,
            non_finite: self.json_non_finite,
            limits: Limits {
                rows: self.max_rows.map_or(default_rows, |MaxRows(rows)| rows),
                width: terminal::width(),
                wraps: false,
            },
            footer: is_terminal && !self.quiet,
            started: Some(Instant::now()),
            progress: !self.quiet,
            is_shell: false,
        }
    }

    /// Where the result of the last statement goes.
    fn target(&self) -> Target {
        match &self.out {
            Some(path) => Target::of(path, self.overwrite),
            None => Target::Stdout,
        }
    }
}

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    // Before anything else is done.
    match (arguments.target(), arguments.format) {
        (Target::File { path, .. }, format) => drop(Format::of_output(&path, format)?),
        (_, Some(format)) => format.check_stdout()?,
        (_, None) => {}
    }
    let mut session = Session::builder()
        .backend(&arguments.backend)
        .memory_limit(arguments.memory_limit.unwrap_or_default())
        .csv(arguments.csv.options());
    if let Some(threads) = arguments.threads {
        session = session.threads(threads);
    }
    if let Some(cluster) = arguments.cluster.session_settings(arguments.memory_limit.is_some())? {
        session = session.cluster(cluster);
    }
    let session = session.build()?;
    let runtime = runtime()?;
    let ended = run_in(&session, &runtime, &arguments);
    runtime.block_on(async {
        drop(session);
        flush_cleanup().await;
    });
    // A cancelled query may still be computing a batch. Do not wait for it.
    runtime.shutdown_background();
    ended
}

fn run_in(session: &Session, runtime: &Runtime, arguments: &Arguments) -> Result<(), CliError> {
    runtime.block_on(interruptible(prepare(session, arguments)))?;
    let (display, target) = (arguments.display(), arguments.target());
    let text = match (arguments.statements.as_ref().or(arguments.query.as_ref()), &arguments.file) {
        (Some(query), _) => query.clone(),
        (None, Some(file)) => read(file)?,
        (None, None) if std::io::stdin().is_terminal() => {
            if arguments.out.is_some() {
                return Err(CliError::usage(
                    "--out goes with SQL or -f; in the shell, \\o FILE writes a result",
                ));
            }
            return shell::run(session, runtime, display, arguments.quiet);
        }
        (None, None) => read(Path::new(STANDARD))?,
    };
    runtime.block_on(interruptible(execute(session, &text, &display, &target))).map(|_| ())
}

/// Registers tables and runs the statements of `--init`.
async fn prepare(session: &Session, arguments: &Arguments) -> Result<(), CliError> {
    let mut named: HashMap<String, &str> = HashMap::new();
    for table in &arguments.tables {
        let (name, path) = named_table(table).map_err(|error| CliError::usage(error.message()))?;
        if let Some(other) = named.insert(name.clone(), path) {
            return Err(CliError::usage(format!(
                "--table names the table {name} twice, for '{other}' and for '{path}': give one another name with NAME=PATH"
            )));
        }
        session.register_files(&name, path).await?;
    }
    print_notes(session);
    if let Some(file) = &arguments.init {
        let statements = read(file)?;
        let ended = session.run_script(&statements).await;
        ended.map_err(|error| CliError::query(error, &statements))?;
    }
    Ok(())
}
