//! `COPY` and `INSERT` into an object store: requests that fail, and clients that are interrupted.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::tempdir;

use super::common::finish;
use super::common::process::Process;
use super::common::proxy::{Action, Proxy};
use super::common::store::Store;
use super::{LIMIT, wait_until};

/// Twelve files of a folder, or three of partition folders.
const COPY: &str = "SET datafusion.execution.soft_max_rows_per_output_file = 10000; \
                    COPY (SELECT id % 3 AS p, id, x FROM generate_rows(100000)) TO";

fn count(store: &Store, folder: &std::path::Path, format: &str, location: &str) -> String {
    let read = format!(
        "CREATE EXTERNAL TABLE t STORED AS {format} LOCATION 's3://rows/{location}'; SELECT count(*) AS n FROM t"
    );
    store.ok(folder, &["sql", "--format", "csv", "-q", &read])
}

#[test]
fn objects_appear_together_or_not_at_all() {
    let Some(store) = Store::start() else { return };
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let proxy = Proxy::start(&store.address);
    for (format, extension) in [("PARQUET", "parquet"), ("CSV", "csv")] {
        let outputs = [
            (format!("{format}/"), String::new(), 2),
            (format!("{format}-p/"), "PARTITIONED BY (p)".to_owned(), 2),
            (format!("{format}.{extension}"), String::new(), 1),
        ];
        for (location, partitioned, completed) in outputs {
            let copy = format!("{COPY} 's3://rows/{location}' STORED AS {format} {partitioned}");
            for times in 1..=2 {
                store.ok(folder, &["sql", "-q", &copy]);
                let expected = if location.ends_with('/') { times * 100_000 } else { 100_000 };
                let rows = count(&store, folder, format, &location);
                assert_eq!(rows, format!("n\n{expected}\n"), "{copy}");
            }
            let versions = store.versions();
            for is_interrupted in [false, true] {
                let action = if is_interrupted { Action::Hold } else { Action::Deny };
                let mut seen = 0;
                proxy.set_rule(move |head| {
                    let line = head.lines().next().unwrap_or_default();
                    // Completes an object, whether it was put in parts or in one request.
                    let completes = line.starts_with("POST") && line.contains("uploadId=")
                        || line.starts_with("PUT") && !line.contains("partNumber=");
                    seen += usize::from(completes);
                    if completes && seen >= completed { action } else { Action::Forward }
                });
                let mut command = store.command_at(&proxy.address, folder, &["sql", "-q", &copy]);
                let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
                if is_interrupted {
                    proxy.wait_for_held();
                    let id = running.id().to_string();
                    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
                    // The command handles the signal while the store does not respond.
                    std::thread::sleep(Duration::from_millis(300));
                    proxy.release();
                }
                let ended = finish(running.wait_with_output().unwrap());
                let code = if is_interrupted { 130 } else { 1 };
                assert_eq!(ended.code, Some(code), "{copy}: {ended:#?}");
                if location.ends_with('/') || !is_interrupted {
                    assert_eq!(store.versions(), versions, "{copy}: {ended:#?}");
                    assert_eq!(store.objects().len(), versions.len(), "{copy}");
                }
            }
        }
    }
}

#[test]
fn a_repeated_task_writes_its_objects_once() {
    let Some(store) = Store::start() else { return };
    let folder = tempdir().unwrap();
    let proxy = Proxy::start(&store.address);
    let mut scheduler = Process::start(folder.path(), &["cluster", "scheduler", "--bind", "127.0.0.1:0"]);
    let url = scheduler.first_line();
    std::fs::create_dir_all(folder.path().join("tmp")).unwrap();
    let executor = |address: &str| {
        let arguments = ["cluster", "executor", "--scheduler", &url, "--slots", "2"];
        let mut command = store.command_at(address, folder.path(), &arguments);
        Process::spawn(command.env("TMPDIR", folder.path().join("tmp")))
    };
    let first = executor(&proxy.address);
    // The first executor is killed when it has written an object and is about to write the next.
    let mut seen = 0;
    proxy.set_rule(move |head| {
        let line = head.lines().next().unwrap_or_default();
        let completes = line.starts_with("POST") && line.contains("uploadId=")
            || line.starts_with("PUT") && !line.contains("partNumber=");
        seen += usize::from(completes);
        if completes && seen >= 3 { Action::Hold } else { Action::Forward }
    });
    let copy = format!("{COPY} 's3://rows/out/' STORED AS CSV");
    let arguments = ["sql", "--cluster", &url, "--cluster-wait", "60", "-q", &copy];
    let mut command = store.command(folder.path(), &arguments);
    let running = Process::spawn(&mut command);
    proxy.wait_for_held();
    first.signal("KILL");
    let _second = executor(&store.address);
    let run = running.wait(LIMIT);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert_eq!(count(&store, folder.path(), "CSV", "out/"), "n\n100000\n");
    // Requests of the killed executor that were on their way may still be answered.
    proxy.release();
    let start = Instant::now();
    wait_until("end of the requests of the killed executor", || start.elapsed() > Duration::from_secs(2));
    assert_eq!(count(&store, folder.path(), "CSV", "out/"), "n\n100000\n");
}
