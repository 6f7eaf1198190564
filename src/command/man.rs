//! `warpframe man`: writes the manual pages of the command and its subcommands.

use std::path::PathBuf;

use clap::{Args, Command};

use super::error::CliError;
use super::words::count;

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
    clap_mangen::generate_to(command, folder).map_err(failed)?;
    let pages = std::fs::read_dir(folder).map_err(failed)?.count() as u64;
    eprintln!("{} in {}", count(pages, "manual page"), folder.display());
    Ok(())
}
