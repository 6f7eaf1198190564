//! How to start the `warpframe` command as a child process.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::Command;

/// A program that runs the `warpframe` command, with the arguments that precede those of the command. The `warpframe` binary
/// has none; the Python package's are `-m warpframe`, after an interpreter as the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    program: OsString,
    arguments: Vec<OsString>,
}

impl Launcher {
    /// A launcher that runs `program` with `arguments` before those of the command. A name without a path separator is
    /// looked up in `PATH`.
    ///
    /// ```
    /// use warpframe_cluster::Launcher;
    ///
    /// let launcher = Launcher::new("python3", ["-m".into(), "warpframe".into()]);
    /// assert_eq!(format!("{:?}", launcher.command()), r#""python3" "-m" "warpframe""#);
    /// ```
    pub fn new(program: impl Into<OsString>, arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().collect() }
    }

    /// Runs the executable file of this process, which must be the `warpframe` binary.
    ///
    /// # Errors
    /// The operating system does not tell the path of the file.
    pub fn current_exe() -> io::Result<Self> {
        Ok(Self::new(std::env::current_exe()?, []))
    }

    /// The program.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// A process to start, to which the arguments of the command are to be added.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
    }
}
