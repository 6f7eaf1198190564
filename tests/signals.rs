//! INT, TERM and HUP end every command, in order or at once, and leave nothing behind. `cluster.rs` tests local clusters.
#![cfg(unix)]

mod common;

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::process::Process;
use common::pty::Terminal;
use common::{command, entries, ok};
use tempfile::tempdir;

const SIGNALS: [(&str, i32); 3] = [("INT", 130), ("TERM", 143), ("HUP", 129)];

/// More than a process needs to end in order or at once on a busy machine, and less than the work takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Takes hours inside one call, which does not notice a signal.
const ENDLESS_JOIN: &str =
    "SELECT count(*) FROM generate_rows(2000000) a JOIN generate_rows(2000000) b ON a.x * b.x < 0";

/// Starts a command in a folder that is also the folder for temporary files.
fn start(folder: &Path, arguments: &[&str]) -> Process {
    Process::spawn(command(folder).args(arguments).env("TMPDIR", folder))
}

/// Waits until `ready` is true.
fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the process has a thread with the name.
#[cfg(target_os = "linux")]
fn has_thread(process: &Process, name: &str) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", process.0.id())) else { return false };
    threads.flatten().any(|thread| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
    })
}

/// Waits until the process handles signals, and then for the work to begin.
fn wait_for_work(process: &Process) {
    #[cfg(target_os = "linux")]
    wait_until("the command does not handle signals", || has_thread(process, "signals"));
    #[cfg(not(target_os = "linux"))]
    let _ = process;
    std::thread::sleep(Duration::from_millis(700));
}

#[test]
fn every_command_ends_at_every_signal_and_leaves_nothing() {
    let folder = tempdir().unwrap();
    let input = folder.path().join("input");
    std::fs::create_dir(&input).unwrap();
    ok(&input, &["generate", "--rows", "1000", "--out", "in.parquet"]);
    let endless_value = format!("({ENDLESS_JOIN}) AS n");
    let commands: [&[&str]; 8] = [
        &["generate", "--rows", "2000000000", "--out", "out"],
        &["run", "--in", "input/in.parquet", "--out", "out.parquet", "--select", &endless_value],
        &["sql", "-q", "SELECT * FROM generate_rows(100000000000)", "--format", "csv", "--out", "out.csv"],
        &["sql", "-q", ENDLESS_JOIN],
        &["sql", "-q", ENDLESS_JOIN, "--format", "parquet", "--out", "out.parquet"],
        &["compare", "--modes", "interpreted", "--rows", "20000000"],
        &["cluster", "scheduler", "--bind", "127.0.0.1:0"],
        &["cluster", "executor", "--scheduler", "127.0.0.1:1"],
    ];
    for arguments in commands {
        for (signal, code) in SIGNALS {
            let process = start(folder.path(), arguments);
            wait_for_work(&process);
            process.signal(signal);
            let run = process.wait(LIMIT);
            assert_eq!(run.code, Some(code), "{arguments:?} {signal}: {run:#?}");
            assert!(run.stderr.ends_with("interrupted\n"), "{arguments:?} {signal}: {run:#?}");
            assert_eq!(entries(folder.path()), ["input"], "{arguments:?} {signal} left something behind");
        }
    }
}

/// A pipe that nobody reads blocks the thread that writes the rows.
#[test]
fn a_command_ends_while_a_call_blocks() {
    let folder = tempdir().unwrap();
    for signals in [&["INT"][..], &["TERM", "HUP"]] {
        let process =
            start(folder.path(), &["sql", "--format", "csv", "-q", "SELECT * FROM generate_rows(10000000)"]);
        wait_for_work(&process);
        let start = Instant::now();
        for signal in signals {
            process.signal(signal);
            std::thread::sleep(Duration::from_millis(100));
        }
        // Not `wait`, which reads the pipe.
        let mut process = process;
        wait_until("the command does not end", || process.0.try_wait().unwrap().is_some());
        let (code, took) = (process.0.wait().unwrap().code(), start.elapsed());
        let expected = if signals.len() == 1 { 130 } else { 129 };
        assert_eq!(code, Some(expected), "{signals:?} after {took:?}");
        let mut errors = String::new();
        process.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(errors, "interrupted\n");
    }
}

#[test]
fn ignored_signals_stay_ignored() {
    let folder = tempdir().unwrap();
    let sql = command(folder.path());
    let query = "SELECT count(*) AS n FROM (SELECT sum(sin(x)) FROM generate_rows(6000000) GROUP BY x)";
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let arguments = ["sql", "--format", "csv", "-q", query];
    let process = Process::spawn(
        Command::new("sh").args(["-c", script]).arg(sql.get_program()).args(arguments).stdin(Stdio::null()),
    );
    wait_for_work(&process);
    process.signal("HUP");
    let run = process.wait(LIMIT * 2);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "n\n6000000\n"), "{run:#?}");
}

/// A shell on a terminal, whose folder for temporary files and for its history is `folder`.
fn shell(folder: &Path) -> Terminal {
    let mut command = command(folder);
    command.arg("sql").env("TMPDIR", folder).env("XDG_DATA_HOME", folder).env("HOME", folder);
    let mut shell = Terminal::start(command, 40, 100);
    shell.expect("warpframe> ");
    shell
}

#[test]
fn in_the_shell_an_interrupt_ends_a_statement_and_other_signals_end_the_shell() {
    for (signal, code) in [("TERM", 143), ("HUP", 129)] {
        let folder = tempdir().unwrap();
        let mut shell = shell(folder.path());
        shell.send("SELECT 40 + 1 AS first;\r");
        shell.expect(" 41 |");
        shell.expect("warpframe> ");
        // At the prompt, where Ctrl-C is a key.
        shell.signal("INT");
        shell.send(&format!("{ENDLESS_JOIN};\r"));
        std::thread::sleep(Duration::from_millis(700));
        shell.signal("INT");
        shell.expect("interrupted");
        shell.expect("warpframe> ");
        shell.send("SELECT 40 + 2 AS second;\r");
        shell.expect(" 42 |");
        shell.expect("warpframe> ");
        shell.signal(signal);
        assert_eq!(shell.wait().code(), Some(code), "{signal} at the prompt");
        let history = std::fs::read_to_string(folder.path().join("warpframe/history.txt")).unwrap();
        assert!(history.contains("40 + 2 AS second"), "{history}");
    }
    let folder = tempdir().unwrap();
    let mut shell = shell(folder.path());
    shell.send(&format!("{ENDLESS_JOIN};\r"));
    std::thread::sleep(Duration::from_millis(700));
    shell.signal("TERM");
    assert_eq!(shell.wait().code(), Some(143), "TERM while a statement runs");
}
