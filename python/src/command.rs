//! The `warpframe` command, for the console script.

use std::ffi::OsString;

use pyo3::prelude::*;
use warpframe::cluster::Launcher;

/// Runs the `warpframe` command and returns its exit code: 0 for success, 1 for failure, 2 for wrong usage, and 128 and the
/// number of the signal if one ended it.
///
/// `arguments` are those after the name of the command. `program` starts the command again, as a child process: a
/// program and its first arguments, such as `[sys.executable, "-m", "warpframe"]`; if it is empty, executor processes cannot
/// be started.
///
/// It is for processes that do nothing else, and only once: it handles SIGINT, SIGTERM and SIGHUP without Python, and may
/// end the process then; it writes to file descriptors 1 and 2, and may leave threads that compute until the process exits.
#[pyfunction]
pub fn run_command(py: Python<'_>, arguments: Vec<OsString>, program: Vec<OsString>) -> u8 {
    let mut program = program.into_iter();
    let launcher = program.next().map(|first| Launcher::new(first, program));
    py.detach(|| warpframe::command::main(arguments, launcher))
}
