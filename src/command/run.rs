//! `warpframe run`: evaluates expressions over Parquet files and writes Parquet files.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;

use super::cluster::ClusterArguments;
use super::error::CliError;
use super::generate::{WriterArguments, print_summary};
use super::progress::RowsBar;
use super::runtime::run_to_end;
use super::statements::read;
use super::values;
use crate::session::Session;
use warpframe_datafusion::backend_names::{AUTO, NAMES};
use warpframe_datafusion::memory::MemoryLimit;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The Parquet input: a file, a folder or a glob
    #[arg(long = "in", value_name = "PATH")]
    input: String,
    /// Run the SQL statements in this file first, such as CREATE FUNCTION
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// The SQL expressions of the output columns, such as 'id, log3(x,y,z) AS r'
    #[arg(long, value_name = "EXPRESSIONS")]
    select: String,
    /// A SQL condition that selects rows
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,
    /// The output: a file if the name ends in .parquet, otherwise a folder with one file per thread
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    #[command(flatten)]
    writer: WriterArguments,
    /// The number of threads; all cores by default
    #[arg(long, value_parser = values::threads)]
    threads: Option<NonZeroUsize>,
    /// The memory limit of operators and writers: a size such as 512MiB, a percentage of the memory such as 50%, or none; 75% by
    /// default
    #[arg(long, value_name = "LIMIT", value_parser = values::named::<MemoryLimit>)]
    memory_limit: Option<MemoryLimit>,
    /// Replace an existing output when the new one is complete
    #[arg(long)]
    overwrite: bool,
    /// The backend of fused expressions and log3: auto, interpreted, simd or cuda
    #[arg(long, default_value = AUTO, value_parser = NAMES)]
    backend: String,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let init = arguments.init.as_deref().map(read).transpose()?;
    let mut session = Session::builder()
        .backend(arguments.backend)
        .memory_limit(arguments.memory_limit.unwrap_or_default());
    if let Some(threads) = arguments.threads {
        session = session.threads(threads);
    }
    if let Some(cluster) = arguments.cluster.settings()? {
        session = session.cluster(cluster);
    }
    let bar = Arc::new(RowsBar::default());
    let mut batch = session
        .build()?
        .batch_run()
        .input(arguments.input)
        .select(arguments.select)
        .output(&arguments.out)
        .overwrite(arguments.overwrite)
        .writer(arguments.writer.settings())
        .progress(Arc::clone(&bar) as _);
    if let Some(statements) = init {
        batch = batch.init(statements);
    }
    if let Some(condition) = arguments.filter {
        batch = batch.filter(condition);
    }
    let (query, start) = (batch.query(), Instant::now());
    // The session ends with the run, so that its cleanup is waited for.
    let written =
        run_to_end(async move { batch.run().await.map_err(|failed| CliError::query(failed.error, &query)) });
    bar.clear();
    print_summary(&written?, &arguments.out, start);
    Ok(())
}
