//! On clusters an executor writes, and the session publishes.

use std::fs;

use tempfile::tempdir;
use warpframe::Session;
use warpframe::cluster::LocalCluster;

use super::common::process::Process;
use super::common::{ok, warpframe};
use super::formats::check_round_trips;
use super::{LIMIT, count_files, tree, wait_until};

#[test]
fn executors_write_what_a_session_writes() {
    let folder = tempdir().unwrap();
    let mut cluster = Process::start(
        folder.path(),
        &["cluster", "local", "--executors", "2", "--slots", "2", "--port", "0"],
    );
    let url = cluster.first_line();
    let out = tempdir().unwrap();
    check_round_trips(out.path(), &["--cluster", &url]);
    let failing =
        "COPY (SELECT id FROM generate_rows(100000) WHERE sqrt(90000.0 - id) >= 0) TO 'no/' STORED AS CSV";
    let before = tree(out.path());
    let run = warpframe(out.path(), &["sql", "--cluster", &url, "-q", failing]);
    assert!(run.code == Some(1) && run.stderr.contains("square root of a negative number"), "{run:#?}");
    assert_eq!(tree(out.path()), before);
    let analyze = "EXPLAIN ANALYZE COPY (SELECT id FROM generate_rows(1000) WHERE id > 10) TO 'analyzed.csv'";
    let run = ok(out.path(), &["sql", "--cluster", &url, "-q", analyze]);
    assert!(run.stdout.contains("ClusterCopyExec") && run.stdout.contains("GenerateExec"), "{}", run.stdout);
    assert!(run.stdout.contains("rows_written=989"), "{}", run.stdout);
    assert_eq!(fs::read_to_string(out.path().join("analyzed.csv")).unwrap().lines().count(), 1 + 989);
    cluster.signal("INT");
    cluster.wait(LIMIT);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_cluster_are_inserted_into_a_table_in_memory() {
    let cluster = LocalCluster::start_in_process(2.try_into().unwrap()).await.unwrap();
    let session = Session::builder().cluster(cluster.settings()).build().unwrap();
    session
        .run_script(
            "CREATE TABLE t (a BIGINT) AS VALUES (1); INSERT INTO t SELECT id FROM generate_rows(1000)",
        )
        .await
        .unwrap();
    let rows = session.sql("SELECT count(*) AS n FROM t").await.unwrap().collect().await.unwrap();
    assert!(arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string().contains("| 1001 |"));
}

#[test]
fn a_repeated_task_writes_its_rows_once() {
    let folder = tempdir().unwrap();
    let mut scheduler = Process::start(folder.path(), &["cluster", "scheduler", "--bind", "127.0.0.1:0"]);
    let url = scheduler.first_line();
    let executor =
        || Process::start(folder.path(), &["cluster", "executor", "--scheduler", &url, "--slots", "2"]);
    let first = executor();
    let out = tempdir().unwrap();
    fs::create_dir(out.path().join("t")).unwrap();
    let rows = 3_000_000;
    let insert = format!(
        "SET datafusion.execution.soft_max_rows_per_output_file = 20000; \
         CREATE EXTERNAL TABLE t (id BIGINT) STORED AS PARQUET LOCATION '{}/'; \
         INSERT INTO t SELECT id FROM generate_rows({rows})",
        out.path().join("t").display()
    );
    let arguments = ["sql", "--cluster", &url, "--cluster-wait", "60", "--format", "csv", "-q", &insert];
    let running = Process::start(folder.path(), &arguments);
    wait_until("file of the first attempt", || count_files(out.path()) > 4);
    first.signal("KILL");
    let second = executor();
    let run = running.wait(LIMIT);
    assert_eq!((run.code, run.stdout.lines().last()), (Some(0), Some(rows.to_string().as_str())), "{run:#?}");
    let count = "SELECT count(*) AS n, count(DISTINCT id) AS d FROM t";
    let counted = ok(out.path(), &["sql", "--table", "t=t", "--format", "csv", "-q", count]);
    assert_eq!(counted.stdout, format!("n,d\n{rows},{rows}\n"));
    let names: Vec<_> = tree(out.path()).into_keys().collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("/.warpframe")), "{names:?}");
    drop(second);
}
