//! The command line, one file per subcommand. Data goes to stdout, everything else to stderr. Exit codes: 0 for success, 1
//! for failure, 2 for wrong usage, 130 if interrupted.

mod cluster;
mod compare;
mod devices;
mod error;
mod error_recorder;
mod generate;
mod log;
mod output;
mod panic;
mod progress;
mod repl;
mod run;
mod runtime;
mod signals;
mod sql;
mod statements;
mod stream_output;
mod table;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use warpframe::kernel::SimdPath;

use error::CliError;
use runtime::runtime;

/// Evaluates numeric expressions over Arrow columns on CPUs, GPUs and clusters
#[derive(Debug, Parser)]
#[command(name = "warpframe", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one formula over the same rows in every execution mode; verify, time and plot the runs
    Compare(compare::Arguments),
    /// Run SQL: a query, a file or an interactive shell
    Sql(sql::Arguments),
    /// Evaluate expressions over Parquet files and write Parquet files
    Run(run::Arguments),
    /// Write generated rows as Parquet
    Generate(generate::Arguments),
    /// Start a cluster, or show its state
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Show the CPU, the SIMD instruction sets and the GPUs of this machine
    Devices,
}

/// Runs the command that the arguments of this process name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = panic::catch(|| run(cli.command)).unwrap_or_else(|message| Err(CliError::Failure(message)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(command: Command) -> Result<(), CliError> {
    // Check the environment variables before doing anything else.
    SimdPath::active().map_err(CliError::usage)?;
    log::start()?;
    match command {
        Command::Compare(arguments) => runtime()?.block_on(compare::run(arguments)),
        Command::Sql(arguments) => sql::run(arguments),
        Command::Run(arguments) => runtime()?.block_on(run::run(arguments)),
        Command::Generate(arguments) => runtime()?.block_on(generate::run(arguments)),
        Command::Cluster(command) => cluster::run(command),
        Command::Devices => devices::run(),
    }
}
