//! `warpframe man`: writes the manual pages of the command and its subcommands.

use std::path::PathBuf;

use clap::{Args, Command};

use super::error::CliError;
use crate::counts::count;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder for warpframe.1, warpframe-sql.1 and so on, such as ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes the pages of `command`.
pub fn run(arguments: &Arguments, command: Command) -> Result<(), CliError> {
    let folder = &arguments.folder;
    let failed = |error| CliError::failure(format!("cannot write into '{}': {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let pages = pages(&command);
    clap_mangen::generate_to(command, folder).map_err(failed)?;
    eprintln!("{} in {}", count(pages, "manual page"), folder.display());
    Ok(())
}

/// The number of pages of a command and its subcommands. Hidden ones have none.
fn pages(command: &Command) -> u64 {
    1 + command.get_subcommands().filter(|command| !command.is_hide_set()).map(pages).sum::<u64>()
}
