//! What several test files need: running the program, and small Parquet files.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod gpu;
pub mod kernels;
pub mod process;
pub mod proxy;
pub mod reference;
pub mod store;
pub mod trees;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Says that a test was not run, past the test runner, which hides what tests print.
pub fn skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// What a run of the program has given.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The program, to be run in `folder`: the one that was built with the tests, or WARPFRAME_PROGRAM, where these are run
/// on another machine.
pub fn command(folder: &Path) -> Command {
    let other = std::env::var_os("WARPFRAME_PROGRAM");
    let mut command = Command::new(other.unwrap_or_else(|| env!("CARGO_BIN_EXE_warpframe").into()));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .env_remove("WARPFRAME_SIMD")
        .env_remove("RUST_BACKTRACE");
    command
}

/// Runs the program in `folder`.
pub fn warpframe(folder: &Path, arguments: &[&str]) -> Run {
    finish(command(folder).args(arguments).output().unwrap())
}

/// Runs the program and expects success.
pub fn ok(folder: &Path, arguments: &[&str]) -> Run {
    let run = warpframe(folder, arguments);
    assert_eq!(run.code, Some(0), "{arguments:?}: {run:#?}");
    run
}

/// Runs the program and expects an error: the exit code, and one sentence with these words in it.
pub fn refused(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) -> Run {
    let before = entries(folder);
    let run = warpframe(folder, arguments);
    assert_eq!(run.code, Some(code), "{arguments:?}: {run:#?}");
    assert_eq!(run.stdout, "", "{arguments:?} wrote to stdout");
    assert!(run.stderr.starts_with("error: "), "{arguments:?}: {}", run.stderr);
    for word in words {
        assert!(run.stderr.contains(word), "{arguments:?}: '{word}' is not in: {}", run.stderr);
    }
    assert!(!run.stderr.contains("panicked"), "{arguments:?}: {}", run.stderr);
    assert_eq!(entries(folder), before, "{arguments:?} left something behind");
    run
}

pub fn finish(output: Output) -> Run {
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The names in a folder, hidden ones too.
pub fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
