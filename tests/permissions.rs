//! File permissions: temporary data is private to its user, and outputs have the permissions of the umask.

#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::process::Process;
use common::{command, finish};
use tempfile::tempdir;

/// The time limit for a process to exit.
const LIMIT: Duration = Duration::from_secs(60);

const UMASKS: [u32; 3] = [0o000, 0o022, 0o077];

/// The command with a umask, and with `tmp` as its folder for temporary files.
fn with_umask(umask: u32, folder: &Path, arguments: &[&str]) -> Command {
    let program = command(folder);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("umask {umask:03o}; exec \"$0\" \"$@\"")])
        .arg(program.get_program())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("TMPDIR", folder.join("tmp"));
    shell
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o777
}

/// Runs a command and polls the entries of folders. Returns the union of the permissions of all entries, by the part of
/// their names before the last hyphen.
fn watched(mut command: Command, folders: &[&Path]) -> BTreeMap<String, u32> {
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut seen = BTreeMap::new();
    loop {
        let ended = running.try_wait().unwrap().is_some();
        for entry in folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            // The entry may have been removed.
            if let Ok(metadata) = entry.path().symlink_metadata() {
                let kind = name.rsplit_once('-').map_or(&*name, |(kind, _)| kind).to_owned();
                *seen.entry(kind).or_default() |= metadata.permissions().mode() & 0o777;
            }
        }
        if ended {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let ended = finish(running.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    seen
}

#[test]
fn temporary_folders_are_private() {
    for umask in UMASKS {
        let folder = tempdir().unwrap();
        let folder = folder.path();
        let tmp = folder.join("tmp");
        std::fs::create_dir(&tmp).unwrap();
        let modes = "interpreted,cluster-processes-1";
        let compare =
            ["compare", "--rows", "500000", "--modes", modes, "--repeat", "1", "--report", "report"];
        let report = folder.join("report");
        std::fs::create_dir(&report).unwrap();
        let seen = watched(with_umask(umask, folder, &compare), &[&tmp, &report]);
        for kind in ["warpframe-cluster", ".warpframe-compare"] {
            assert_eq!(seen.get(kind), Some(&0o700), "{umask:03o}: {seen:?}");
        }
        // The folders of a cluster while a query runs.
        let local = ["cluster", "local", "--executors", "1", "--port", "0"];
        let mut local = Process::spawn(&mut with_umask(umask, folder, &local));
        let url = local.first_line();
        let query =
            "SELECT count(*) FROM (SELECT id % 100 AS k, sum(x) FROM generate_rows(2000000) GROUP BY k)";
        let query = ["sql", "--cluster", &url, "-q", query];
        let seen = watched(with_umask(umask, folder, &query), &[&tmp]);
        assert_eq!(seen.get("warpframe-cluster"), Some(&0o700), "{umask:03o}: {seen:?}");
        let executors = ["cluster", "executor", "--scheduler", &url, "--work-dir", "work"];
        let mut executor = Process::spawn(&mut with_umask(umask, folder, &executors));
        let mut ready = String::new();
        BufReader::new(executor.0.stderr.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.contains("is ready"), "{ready}");
        let entries: Vec<_> = std::fs::read_dir(folder.join("work")).unwrap().map(Result::unwrap).collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(mode(&entries[0].path()), 0o700, "{umask:03o}");
        for process in [executor, local] {
            process.signal("INT");
            process.wait(LIMIT);
        }
        assert_eq!(common::entries(&tmp), [""; 0], "{umask:03o}");
    }
}

#[test]
fn files_staged_for_an_object_store_are_private() {
    for umask in UMASKS {
        let folder = tempdir().unwrap();
        let folder = folder.path();
        std::fs::create_dir(folder.join("tmp")).unwrap();
        let Some(store) = common::store::Store::start() else { return };
        let generate = ["generate", "--rows", "500000", "--out", "s3://rows/x.parquet"];
        let mut command = with_umask(umask, folder, &generate);
        store.set_env(&mut command);
        let seen = watched(command, &[&folder.join("tmp")]);
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [("warpframe".to_owned(), 0o700)], "{umask:03o}");
    }
}

#[test]
fn outputs_have_the_permissions_of_the_umask() {
    for umask in UMASKS {
        let folder = tempdir().unwrap();
        let folder = folder.path();
        std::fs::create_dir(folder.join("tmp")).unwrap();
        let run = |arguments: &[&str]| {
            let ended = finish(with_umask(umask, folder, arguments).output().unwrap());
            assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:#?}");
        };
        run(&["generate", "--rows", "1000", "--files", "2", "--out", "in"]);
        run(&["run", "--in", "in", "--select", "id", "--out", "out"]);
        run(&["run", "--in", "in", "--select", "id", "--out", "one.parquet"]);
        run(&["run", "--in", "in", "--select", "id", "--out", "out", "--overwrite"]);
        run(&["sql", "-q", "SELECT 1 AS one", "--format", "csv", "--out", "one.csv"]);
        let local = ["cluster", "local", "--executors", "1", "--port", "0"];
        let mut local = Process::spawn(&mut with_umask(umask, folder, &local));
        let url = local.first_line();
        let (url, input) = (&*url, folder.join("in").to_string_lossy().into_owned());
        run(&["run", "--cluster", url, "--in", &input, "--select", "id", "--out", "far"]);
        run(&["run", "--cluster", url, "--in", &input, "--select", "id", "--out", "far.parquet"]);
        local.signal("INT");
        local.wait(LIMIT);

        for output in ["in", "out", "far"] {
            let output = folder.join(output);
            assert_eq!(mode(&output), 0o777 & !umask, "{umask:03o}: {output:?}");
            for file in std::fs::read_dir(output).unwrap() {
                let file = file.unwrap().path();
                assert_eq!(mode(&file), 0o666 & !umask, "{umask:03o}: {file:?}");
            }
        }
        for output in ["one.parquet", "one.csv", "far.parquet"] {
            assert_eq!(mode(&folder.join(output)), 0o666 & !umask, "{umask:03o}: {output}");
        }
    }
}
