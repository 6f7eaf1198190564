//! Outputs that are no regular files are written to as streams or refused, and never replaced.

#![cfg(unix)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::tempdir;

use super::common::process::Process;
use super::common::{command, expect_failure, ok};

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_pipe_gets_the_rows_and_stays() {
    let folder = tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    make_pipe(&pipe);
    for (format, overwrite, text) in [("csv", true, "a\n1\n"), ("ndjson", false, "{\"a\":1}\n")] {
        let mut writer = command(folder.path());
        writer.args(["sql", "--format", format, "--out", "pipe", "-q", "SELECT 1 AS a"]);
        if overwrite {
            writer.arg("--overwrite");
        }
        let writer = Process::spawn(&mut writer);
        let mut read = String::new();
        fs::File::open(&pipe).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        assert_eq!(writer.wait(Duration::from_secs(30)).code, Some(0));
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    }
    // A pipe without a reader can be interrupted.
    let waiting = Process::spawn(
        command(folder.path()).args(["sql", "--format", "csv", "--out", "pipe", "-q", "SELECT 1"]),
    );
    std::thread::sleep(Duration::from_millis(500));
    waiting.signal("INT");
    assert_eq!(waiting.wait(Duration::from_secs(30)).code, Some(130));
}

#[test]
fn a_pipe_with_the_name_of_a_compressed_file_gets_compressed_rows() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    make_pipe(&at.join("pipe.csv.gz"));
    let writer =
        Process::spawn(command(at).args(["sql", "--out", "pipe.csv.gz", "--overwrite", "SELECT 1 AS a"]));
    let mut read = Vec::new();
    fs::File::open(at.join("pipe.csv.gz")).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(writer.wait(Duration::from_secs(30)).code, Some(0));
    fs::write(at.join("copy.csv.gz"), read).unwrap();
    assert_eq!(ok(at, &["sql", "--format", "csv", "FROM 'copy.csv.gz'"]).stdout, "a\n1\n");
}

#[test]
fn standard_output_and_devices_are_written_to() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    if !Path::new("/dev/stdout").exists() {
        return;
    }
    let to_stdout = ["sql", "--format", "csv", "--out", "/dev/stdout", "--overwrite", "-q", "SELECT 1 AS a"];
    assert_eq!(ok(at, &to_stdout).stdout, "a\n1\n");
    let link = fs::symlink_metadata("/dev/stdout").unwrap().file_type();
    assert!(link.is_symlink());
    // Also where standard output is a file that the shell appends to.
    let file = at.join("appended");
    fs::write(&file, "before\n").unwrap();
    let appended = fs::File::options().append(true).open(&file).unwrap();
    let status = command(at).args(to_stdout).stdout(Stdio::from(appended)).status().unwrap();
    assert!(status.success());
    assert_eq!(fs::read_to_string(&file).unwrap(), "before\na\n1\n");
    ok(at, &["sql", "--format", "csv", "--out", "/dev/null", "--overwrite", "-q", "SELECT 1 AS a"]);
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    for out in ["/dev/null", "/dev/stdout"] {
        let words = ["it is a pipe, a device or a socket"];
        expect_failure(
            at,
            &["sql", "--format", "parquet", "--out", out, "--overwrite", "-q", "SELECT 1 AS a"],
            1,
            &words,
        );
        expect_failure(at, &["generate", "--rows", "1", "--out", out, "--overwrite"], 1, &words);
    }
}

#[test]
fn pipes_and_sockets_are_not_replaced_by_files_or_folders() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(at, &["generate", "--rows", "3", "--out", "in.parquet"]);
    make_pipe(&at.join("pipe.parquet"));
    make_pipe(&at.join("pipe"));
    let _sockets = ["socket.parquet", "socket"].map(|name| UnixListener::bind(at.join(name)).unwrap());
    for more in [&[][..], &["--overwrite"]] {
        for out in ["pipe.parquet", "pipe", "socket.parquet"] {
            let generate = ["generate", "--rows", "1", "--out", out];
            expect_failure(at, &[&generate[..], more].concat(), 1, &["it is a pipe, a device or a socket"]);
        }
        // Runs write into pipes.
        for (out, code, words) in [
            ("pipe", 2, "the format of the pipe is not known"),
            ("socket.parquet", 1, "neither a file nor a pipe"),
        ] {
            let run = ["run", "--in", "in.parquet", "--select", "id", "--out", out];
            expect_failure(at, &[&run[..], more].concat(), code, &[words]);
        }
    }
    for name in ["pipe.parquet", "pipe"] {
        assert!(fs::symlink_metadata(at.join(name)).unwrap().file_type().is_fifo(), "{name}");
    }
    expect_failure(
        at,
        &["sql", "--format", "csv", "--out", "socket", "--overwrite", "-q", "SELECT 1"],
        1,
        &["neither a file nor a pipe"],
    );
}

#[test]
fn a_link_stays_and_the_file_behind_it_is_replaced() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("data")).unwrap();
    fs::write(at.join("data/real.csv"), "old").unwrap();
    symlink("data/real.csv", at.join("link.csv")).unwrap();
    let sql = ["sql", "--format", "csv", "--out", "link.csv", "-q", "SELECT 1 AS a"];
    expect_failure(at, &sql, 1, &["exists already"]);
    ok(at, &[&sql[..], &["--overwrite"]].concat());
    assert!(at.join("link.csv").is_symlink());
    assert_eq!(fs::read_to_string(at.join("data/real.csv")).unwrap(), "a\n1\n");
    symlink("missing.csv", at.join("dangling.csv")).unwrap();
    let sql = ["sql", "--format", "csv", "--out", "dangling.csv", "-q", "SELECT 1 AS a"];
    expect_failure(at, &sql, 1, &["exists already"]);
    expect_failure(at, &[&sql[..], &["--overwrite"]].concat(), 1, &["link to a missing file"]);
}
