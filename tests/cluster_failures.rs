//! Failures on clusters of real processes that the cluster has to survive: queries that end their executors, executors that
//! end, and clients that are killed or read slowly.

mod common;

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use common::local_cluster::LocalProcesses;
use common::process::Process;
use common::{command, entries, expect_failure, skipped};
use futures::StreamExt;
use tempfile::tempdir;
use warpframe::Session;
use warpframe::cluster::{ClusterAddress, ClusterSettings, Launcher, LocalCluster, LocalClusterOptions};

/// Whether tests can find the processes and limit their memory.
fn has_linux() -> bool {
    if !cfg!(target_os = "linux") {
        skipped("limits of address space and /proc need Linux");
    }
    cfg!(target_os = "linux")
}

/// A query that needs an array of 16 GB.
const POISON: &str = "SELECT max(cardinality(array_repeat(x, 1000000000 + id))) AS n FROM generate_rows(2)";

/// The executors cannot allocate what the query needs, and end. It takes three of them, and not the cluster.
#[test]
fn a_query_that_ends_its_executors_is_cancelled() {
    if !has_linux() {
        return;
    }
    let folder = tempdir().unwrap();
    let program = command(folder.path()).get_program().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 6000000 && exec \"$0\" \"$@\""]).arg(program).current_dir(folder.path());
    // Drivers of GPUs reserve more address space.
    shell.env("CUDA_VISIBLE_DEVICES", "").env_remove("RUST_BACKTRACE");
    let cluster = LocalProcesses::start_with(shell, folder, &["--executors", "3", "--slots", "1"]);
    let arguments = ["sql", "--cluster", &cluster.url, "--threads", "1", "-q", POISON];
    let words = ["the query was cancelled", "3 executors were lost", "lack of memory", "--memory-limit"];
    let before = cluster.executors();
    let run = expect_failure(cluster.folder(), &arguments, 1, &words);
    let ended = before.iter().filter(|name| run.stderr.contains(*name)).count();
    assert!(ended > 0, "{before:?}: {}", run.stderr);
    assert_eq!(cluster.sql("SELECT sum(x) AS s FROM generate_rows(3)"), "s\n6.0\n");
    cluster.wait_until("all executors are back", |cluster| cluster.executors().len() == 3);
    let log = cluster.log();
    assert!(log.contains("memory allocation of"), "the reason of the end is not in: {log}");
    assert!(log.contains("another one is started in 0.5 seconds"), "{log}");
}

#[test]
fn executors_of_a_local_cluster_are_started_again() {
    if !has_linux() {
        return;
    }
    let folder = tempdir().unwrap();
    let mut program = command(folder.path());
    program.env("WARPFRAME_LOG", "info");
    let options = ["--executors", "2", "--slots", "1", "--memory-limit", "1GiB"];
    let cluster = LocalProcesses::start_with(program, folder, &options);
    let (names, processes) = (cluster.executors(), cluster.processes());
    assert_eq!((names.len(), processes.len()), (2, 2));
    // Each has half of the memory.
    for process in &processes {
        let arguments = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
        assert!(arguments.contains("--memory-limit\x00536870912\x00"), "{arguments}");
    }
    kill(processes[0]);
    cluster.wait_until("another executor is started", |cluster| {
        let now = cluster.executors();
        now.len() == 2 && now != names
    });
    assert_eq!(cluster.sql("SELECT sum(x) AS s FROM generate_rows(1000)"), "s\n500500.0\n");
    let log = cluster.log();
    assert!(log.contains("has ended (signal: 9 (SIGKILL)"), "{log}");
    // The log of the executors is forwarded.
    let name = names[0].rsplit_once('-').unwrap().0;
    assert!(log.contains(&format!("executor {name}: ")), "{name}: {log}");
    assert!(log.contains("starting task"), "{log}");
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn an_executor_that_cannot_start_ends_the_start() {
    let one = std::num::NonZeroUsize::MIN;
    let start = async |program: &str, script: &str| {
        let launcher = Launcher::new(program, ["-c".into(), script.into()]);
        let started = LocalCluster::start(&launcher, LocalClusterOptions::new(one, one)).await;
        started.unwrap_err().message().into_owned()
    };
    let message = start("sh", "echo error: no backend >&2; exit 3").await;
    assert_eq!(message, "an executor did not start: exit status: 3, error: no backend");
    let message = start("/nowhere/warpframe", "").await;
    assert!(message.starts_with("cannot start '/nowhere/warpframe': "), "{message}");
}

/// A client whose consumer blocks its only thread keeps its results: its lease is renewed by another thread.
#[tokio::test]
async fn a_reader_that_pauses_keeps_its_results() {
    let cluster = LocalProcesses::start(&["--executors", "2", "--slots", "1", "--lease", "3"]);
    let address: ClusterAddress = cluster.url.parse().unwrap();
    let session = Session::builder().cluster(ClusterSettings::new(address)).build().unwrap();
    // More partitions than are opened in advance.
    let query = "SET datafusion.execution.target_partitions = 24";
    session.sql(query).await.unwrap().collect().await.unwrap();
    let rows = session.sql("SELECT id FROM generate_rows(2400000)").await.unwrap();
    let mut rows = rows.execute_stream().await.unwrap();
    let (mut count, mut sum) = (0, 0);
    let mut pauses = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.unwrap();
        count += batch.num_rows();
        sum += batch.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>();
        if pauses < 1 {
            std::thread::sleep(Duration::from_secs(9));
            pauses += 1;
        }
    }
    assert_eq!((count, sum), (2_400_000, 2_400_000 * 2_399_999 / 2));
    drop(rows);
    cluster
        .wait_until("the files are removed after the last row", |cluster| cluster.job_folders().is_empty());
}

#[test]
fn the_query_of_a_killed_client_is_cancelled() {
    let cluster = LocalProcesses::start(&["--executors", "1", "--slots", "2", "--lease", "3"]);
    // It takes hours.
    let query = "SELECT sum(ln(x) * sin(y)) AS s FROM generate_rows(1000000000000)";
    let client = Process::start(cluster.folder(), &["sql", "--cluster", &cluster.url, "-q", query]);
    let job_is = |cluster: &LocalProcesses, state: &str| {
        let status = cluster.status();
        status["jobs"].as_array().is_some_and(|jobs| jobs.len() == 1 && jobs[0]["state"] == state)
    };
    cluster.wait_until("the query runs", |cluster| job_is(cluster, "running"));
    // Its lease is renewed while it runs.
    std::thread::sleep(Duration::from_secs(9));
    assert!(job_is(&cluster, "running"), "{}", cluster.status());
    client.signal("KILL");
    cluster.wait_until("the query is cancelled", |cluster| job_is(cluster, "failed"));
    let error = cluster.status()["jobs"][0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("its client"), "{error}");
    // Its slots are free again.
    assert_eq!(cluster.sql("SELECT sum(x) AS s FROM generate_rows(3)"), "s\n6.0\n");
}

#[test]
fn the_results_of_a_killed_client_are_removed() {
    let cluster = LocalProcesses::start(&["--executors", "1", "--slots", "2", "--lease", "3"]);
    let query = "SELECT id, x FROM generate_rows(3000000)";
    let arguments = ["sql", "--cluster", &cluster.url, "--format", "csv", "-q", query];
    let mut client = Process::start(cluster.folder(), &arguments);
    // It has all results, and waits for the reader of its output.
    let mut first = [0; 6];
    client.0.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(first, *b"id,x\n0");
    std::thread::sleep(Duration::from_secs(9));
    assert_eq!(cluster.job_folders().len(), 1, "the results are kept while the client lives");
    client.signal("KILL");
    cluster.wait_until("the results are removed", |cluster| cluster.job_folders().is_empty());
}

#[test]
fn an_interrupted_comparison_stops_its_cluster() {
    let folder = tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    // It runs for several seconds on the cluster.
    let arguments =
        ["compare", "--modes", "cluster-processes", "--rows", "2M", "--repeat", "200", "--threads", "2"];
    let comparison = Process::start(folder.path(), &arguments);
    let start = Instant::now();
    let list = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().collect::<Vec<_>>();
    let has_staged_tables = || {
        let folders = list(&temporary).into_iter().flat_map(|entry| list(&entry.path()));
        folders.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("warpframe-tables-"))
    };
    while !has_staged_tables() {
        assert!(start.elapsed() < Duration::from_secs(120), "{:?}", list(&temporary));
        std::thread::sleep(Duration::from_millis(20));
    }
    comparison.signal("INT");
    let run = comparison.wait(Duration::from_secs(60));
    assert_eq!(run.code, Some(130), "{run:#?}");
    assert_eq!(entries(&temporary), Vec::<String>::new());
}
