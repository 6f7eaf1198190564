//! The `warpframe` command, one file per subcommand, for programs that are this command: the binary of this package, and
//! the console script of the Python package. Data goes to stdout, everything else to stderr.

mod analysis;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "compare")]
mod compare;
mod completions;
mod csv_options;
mod devices;
mod error;
mod generate;
mod log;
mod man;
#[cfg(not(feature = "cluster"))]
mod no_cluster;
mod notes;
mod output;
mod panic;
mod progress;
mod query_progress;
mod run;
mod runtime;
mod shell;
mod signal;
mod signals;
mod sql;
mod statements;
mod terminal;
mod terminal_mode;
mod values;
mod version;

use std::ffi::OsString;
use std::io::Write;

use clap::{CommandFactory, Parser, Subcommand};
use warpframe_cpu::kernel::SimdPath;

use error::CliError;

#[cfg(not(feature = "cluster"))]
use no_cluster as cluster;

pub use crate::cluster::Launcher;
use crate::revision;

/// Evaluates numeric expressions over Arrow columns on CPUs, GPUs and clusters
#[derive(Debug, Parser)]
#[command(name = "warpframe", version, long_version = version::long(), arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "compare")]
    /// Run one formula over the same rows in every execution mode; verify, time and plot the runs
    Compare(compare::Arguments),
    /// Run SQL: a query, a file or an interactive shell
    Sql(sql::Arguments),
    /// Evaluate expressions over files and write files
    Run(run::Arguments),
    /// Write generated rows as Parquet
    Generate(generate::Arguments),
    #[cfg(feature = "cluster")]
    /// Start a cluster, or show its state
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Show the CPU, the SIMD instruction sets and the GPUs of this machine
    Devices,
    /// Print a script that completes the command's words in a shell
    Completions(completions::Arguments),
    /// Write the manual pages
    Man(man::Arguments),
}

/// Runs the command that `arguments` name, which are those after the name of the program, and returns the exit code of the
/// process: 0 for success, 1 for failure, 2 for wrong usage, and 128 and the number of the signal if SIGINT (130), SIGTERM
/// (143) or SIGHUP (129) ended it.
///
/// `launcher` starts executor processes; without it, what needs them fails.
///
/// It is to be called once in a process that does nothing else, which then exits with the code: it handles SIGINT, SIGTERM
/// and SIGHUP, sets the logger and the panic hook of the process, and may leave threads that still compute what was
/// interrupted. If such a thread holds it up, or at a second signal, it ends the process itself.
pub fn main(arguments: impl IntoIterator<Item = OsString>, launcher: Option<Launcher>) -> u8 {
    revision::require_on_clusters();
    let arguments: Vec<_> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from([OsString::from("warpframe")].iter().chain(&arguments)) {
        Ok(cli) => cli,
        Err(error) => {
            // As with clap's own way to exit, a message that cannot be printed changes nothing.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(error::USAGE);
        }
    };
    let invocation = Invocation { arguments, launcher };
    let ended = panic::catch(|| run(cli.command, invocation));
    let ended = ended.unwrap_or_else(|message| Err(CliError::Failure(message)));
    // Rust itself flushes stdout only at the end of a program whose main function is in Rust.
    let flushed = std::io::stdout().flush();
    match ended.and_then(|()| Ok(flushed?)) {
        Ok(()) => error::SUCCESS,
        Err(error) => error.report(),
    }
}

/// How the command was started, for the comparison and clusters.
#[cfg_attr(not(feature = "compare"), expect(dead_code, reason = "for the comparison"))]
struct Invocation {
    arguments: Vec<OsString>,
    launcher: Option<Launcher>,
}

#[cfg_attr(not(feature = "compare"), expect(dead_code, reason = "for the comparison"))]
impl Invocation {
    /// The command line, quoted for a shell. Invalid Unicode is replaced.
    fn command_line(&self) -> String {
        let arguments = self.arguments.iter().map(|argument| {
            let argument = argument.to_string_lossy();
            let plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "-_=./,:".contains(c));
            if plain && !argument.is_empty() {
                argument.into_owned()
            } else {
                format!("'{}'", argument.replace('\'', "'\\''"))
            }
        });
        ["warpframe".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
    }
}

fn run(
    command: Command,
    #[cfg_attr(
        not(feature = "cluster"),
        expect(unused_variables, reason = "for the comparison and clusters")
    )]
    invocation: Invocation,
) -> Result<(), CliError> {
    // Check the environment variables before doing anything else.
    SimdPath::active().map_err(CliError::usage)?;
    log::start()?;
    signals::start()?;
    match command {
        #[cfg(feature = "compare")]
        Command::Compare(arguments) => {
            let command_line = invocation.command_line();
            let runtime = runtime::runtime()?;
            let ended = runtime.block_on(compare::run(arguments, command_line, invocation.launcher));
            // Modes cannot be cancelled. Do not wait for the one that was interrupted.
            runtime.shutdown_background();
            ended
        }
        Command::Sql(arguments) => sql::run(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Generate(arguments) => generate::run(arguments),
        #[cfg(feature = "cluster")]
        Command::Cluster(command) => cluster::run(command, invocation.launcher),
        Command::Devices => devices::run(),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
        Command::Man(arguments) => man::run(&arguments, Cli::command()),
    }
}
