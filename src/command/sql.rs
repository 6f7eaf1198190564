//! `warpframe sql`: runs a query or a file of statements, or starts the shell.

use std::io::{IsTerminal, Read};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use tokio::runtime::Runtime;

use super::cluster::ClusterArguments;
use super::error::CliError;
use super::output::Format;
use super::runtime::{flush_cleanup, runtime};
use super::signals::interruptible;
use super::statements::{execute, read};
use super::{repl, values};
use crate::session::Session;
use warpframe_datafusion::backend_names::{AUTO, NAMES};
use warpframe_datafusion::memory::MemoryLimit;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Run these statements, separated by ';', and exit
    #[arg(short = 'q', long, value_name = "SQL", conflicts_with = "file")]
    query: Option<String>,
    /// Run the statements in this file and exit
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Run the statements in this file first, such as CREATE FUNCTION, without showing results
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Register Parquet, CSV or Arrow IPC files as a table: a file, a folder, a glob or s3://BUCKET/PATH
    #[arg(long = "table", value_name = "NAME=PATH")]
    tables: Vec<String>,
    /// The format of results
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Write the result of the last statement to this file or pipe
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
    /// The backend of fused expressions and log3: auto, interpreted, simd or cuda
    #[arg(long, default_value = AUTO, value_parser = NAMES)]
    backend: String,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    if arguments.format == Format::Parquet && arguments.out.is_none() {
        return Err(CliError::usage("Parquet is not for a terminal: add --out FILE.parquet"));
    }
    let mut session = Session::builder()
        .backend(&arguments.backend)
        .memory_limit(arguments.memory_limit.unwrap_or_default());
    if let Some(threads) = arguments.threads {
        session = session.threads(threads);
    }
    if let Some(cluster) = arguments.cluster.settings()? {
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
    let text = match (&arguments.query, &arguments.file) {
        (Some(query), _) => query.clone(),
        (None, Some(file)) => read(file)?,
        (None, None) if std::io::stdin().is_terminal() => {
            if arguments.out.is_some() {
                return Err(CliError::usage("--out goes with -q or -f"));
            }
            return repl::run(session, runtime, arguments.format);
        }
        (None, None) => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
    };
    let output = arguments.out.as_deref().map(|path| (path, arguments.overwrite));
    runtime.block_on(interruptible(execute(session, &text, arguments.format, output))).map(|_| ())
}

/// Registers tables and runs the statements of `--init`.
async fn prepare(session: &Session, arguments: &Arguments) -> Result<(), CliError> {
    for table in &arguments.tables {
        let Some((name, path)) =
            table.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            return Err(CliError::usage(format!("--table takes NAME=PATH, not '{table}'")));
        };
        session.register_files(name, path).await?;
    }
    if let Some(file) = &arguments.init {
        let statements = read(file)?;
        let ended = session.run_script(&statements).await;
        ended.map_err(|error| CliError::query(error, &statements))?;
    }
    Ok(())
}
