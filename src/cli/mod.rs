//! The command line: one file per subcommand. Data goes to stdout, everything else to stderr; exit code 2
//! means the command was not understood, 1 that it failed, 130 that it was interrupted.

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
mod table;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use warpframe::kernel::SimdPath;

use error::CliError;
use runtime::runtime;

/// Numeric row expressions over Arrow columns, on every engine this machine has.
#[derive(Debug, Parser)]
#[command(name = "warpframe", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the same rows and the same formula through every execution mode: verified, timed and drawn
    Compare(compare::Arguments),
    /// Run SQL: a query, a file, or an interactive shell
    Sql(sql::Arguments),
    /// Evaluate expressions over Parquet files into Parquet files
    Run(run::Arguments),
    /// Write generated rows as Parquet
    Generate(generate::Arguments),
    /// Start and look at a cluster
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Show what this machine can compute with
    Devices,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = panic::catch(|| run(cli.command)).unwrap_or_else(|message| Err(CliError::Failure(message)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(command: Command) -> Result<(), CliError> {
    // What the environment asks for is checked before anything else is done.
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
