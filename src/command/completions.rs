//! `warpframe completions`: prints a script for a shell.

use std::io::Write;

use clap::{Args, Command};
use clap_complete::Shell;

use super::error::CliError;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script for `command`.
pub fn run(arguments: &Arguments, mut command: Command) -> Result<(), CliError> {
    // The generator panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "warpframe", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}
