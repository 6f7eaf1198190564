//! Helpers for the integration tests: running the command, simulated devices and stores, random expressions.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod gpu;
pub mod kernels;
pub mod local_cluster;
pub mod process;
pub mod programs;
pub mod proxy;
#[cfg(unix)]
pub mod pty;
pub mod reference;
pub mod shuffle;
mod skipped;
pub mod store;
pub mod trees;
pub mod web;

pub use skipped::skipped;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The exit code and output of a process.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The `warpframe` command with the working directory `folder`: the binary that was built with the tests, or that of
/// WARPFRAME_PROGRAM if the tests run on another machine.
pub fn command(folder: &Path) -> Command {
    let program = std::env::var_os("WARPFRAME_PROGRAM");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_warpframe").into()));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .env_remove("WARPFRAME_SIMD")
        .env_remove("RUST_BACKTRACE");
    command
}

/// Runs the command in `folder`.
pub fn warpframe(folder: &Path, arguments: &[&str]) -> Run {
    finish(command(folder).args(arguments).output().unwrap())
}

/// Runs the command and expects success.
pub fn ok(folder: &Path, arguments: &[&str]) -> Run {
    let run = warpframe(folder, arguments);
    assert_eq!(run.code, Some(0), "{arguments:?}: {run:#?}");
    run
}

/// Runs the command and expects failure: the exit code, an error message that contains `words`, no output, and no new
/// files.
pub fn expect_failure(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) -> Run {
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

/// The exit code and output of a finished process.
pub fn finish(output: Output) -> Run {
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The sorted names of all entries of a folder, including hidden ones.
pub fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
