//! Clusters of real processes: results equal those without a cluster, also when executors, the scheduler, hosts or
//! clients fail.

mod common;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::Float64Type;
use arrow::util::pretty::pretty_format_batches;
use common::process::Process;
use common::{command, entries, expect_failure, finish, ok, skipped, warpframe};
use datafusion::physical_plan::collect;
use futures::future::BoxFuture;
use tempfile::{TempDir, tempdir};
use tonic::transport::server::TcpIncoming;
use warpframe::Session;
use warpframe::cluster::{ClusterSettings, LocalCluster};

/// The number of rows of queries that are interrupted by a failure; 100 million take minutes in a debug build.
fn failure_rows() -> u64 {
    std::env::var("WARPFRAME_CLUSTER_ROWS").map_or(20_000_000, |rows| rows.parse().unwrap())
}

/// A scheduler and executors, each a process of its own.
struct Cluster {
    folder: TempDir,
    url: String,
    scheduler: Option<Process>,
    executors: Vec<Process>,
}

impl Cluster {
    fn start(executors: usize, slots: usize) -> Self {
        let folder = tempdir().unwrap();
        let mut scheduler = Process::start(folder.path(), &["cluster", "scheduler", "--bind", "127.0.0.1:0"]);
        let url = scheduler.first_line();
        let mut cluster = Self { folder, url, scheduler: Some(scheduler), executors: Vec::new() };
        for _ in 0..executors {
            cluster.add(slots, &[]);
        }
        cluster.wait_for(executors);
        cluster
    }

    /// Starts another executor.
    fn add(&mut self, slots: usize, more: &[&str]) {
        let slots = slots.to_string();
        let mut arguments = vec!["cluster", "executor", "--scheduler", &self.url, "--slots", &slots];
        arguments.extend(more);
        self.executors.push(Process::start(self.folder.path(), &arguments));
    }

    fn status(&self) -> serde_json::Value {
        let run = warpframe(self.folder.path(), &["cluster", "status", &self.url, "--json"]);
        serde_json::from_str(&run.stdout).unwrap_or_default()
    }

    /// Waits until this number of executors is registered.
    fn wait_for(&self, executors: usize) {
        let start = Instant::now();
        while self.status()["executors"].as_array().map(Vec::len) != Some(executors) {
            assert!(start.elapsed() < Duration::from_secs(40), "{}", self.status());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a running job has completed tasks.
    fn wait_for_progress(&self) {
        let start = Instant::now();
        loop {
            let status = self.status();
            let running = status["jobs"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|job| job["state"] == "running" && job["progress"]["done"].as_u64() > Some(0));
            if running {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn sql(&self, query: &str) -> String {
        ok(self.folder.path(), &["sql", "--cluster", &self.url, "--format", "csv", "-q", query]).stdout
    }

    /// Starts a query in the background. It has many tasks, so that it can be interrupted between tasks.
    fn begin(&self, query: &str) -> Process {
        let arguments = ["sql", "--cluster", &self.url, "--threads", "24", "--format", "csv", "-q", query];
        Process::start(self.folder.path(), &arguments)
    }
}

/// The time limit for a process to exit.
const LIMIT: Duration = Duration::from_secs(300);

fn sum_query() -> String {
    format!(
        "SELECT count(*) AS n, sum(id) AS ids, sum(log3(x, y, z)) AS s FROM generate_rows({})",
        failure_rows()
    )
}

fn check_sum(run: &common::Run) {
    assert_eq!(run.code, Some(0), "{run:#?}");
    let folder = tempdir().unwrap();
    let expected = ok(folder.path(), &["sql", "--format", "csv", "-q", &sum_query()]).stdout;
    check_same(&run.stdout, &expected);
}

/// Compares CSV texts field by field; numbers may differ by the order of summation.
fn check_same(found: &str, expected: &str) {
    let (found_fields, fields) = (found.split([',', '\n']), expected.split([',', '\n']));
    assert_eq!(found_fields.clone().count(), fields.clone().count(), "{found} is not {expected}");
    for (one, other) in found_fields.zip(fields) {
        match (one.parse::<f64>(), other.parse::<f64>()) {
            (Ok(one), Ok(other)) => {
                assert!((one - other).abs() <= 1e-12 * other.abs(), "{one} is not {other}")
            }
            _ => assert_eq!(one, other),
        }
    }
}

#[test]
fn functions_need_no_installation_on_executors() {
    let cluster = Cluster::start(2, 1);
    let folder = cluster.folder.path();
    ok(folder, &["generate", "--rows", "100000", "--distribution", "uniform", "--out", "t.parquet"]);
    let queries = [
        "SELECT sum(log3(x, y, z)) AS r FROM t",
        "SELECT count(*) AS n, sum(sqrt(x*x + 1)*sin(x) + cos(y/2)) AS r FROM t WHERE ln(x) > 12",
        "SELECT CASE WHEN x > 5e5 THEN 1 ELSE 2 END AS k, sum(power(y, 0.3)) AS r FROM t GROUP BY 1 ORDER BY 1",
        "CREATE FUNCTION dist(a DOUBLE, b DOUBLE DEFAULT 1) RETURNS DOUBLE RETURN sqrt(a*a + b*b); \
         SELECT max(dist(x)) AS m, sum(dist(b => x, a => y)) AS s FROM t",
        "SELECT id, log3(x, y, z) AS r FROM t WHERE id % 10000 = 7 ORDER BY id",
        "SELECT a.id, sqrt(a.x) + b.y AS r FROM t a JOIN t b ON a.id = b.id + 1 WHERE a.id < 9 ORDER BY 1",
        "SELECT id, sum(ln(x)) OVER (ORDER BY id ROWS 2 PRECEDING) AS r FROM t ORDER BY id LIMIT 5",
        "SELECT count(*) AS n FROM t WHERE y > (SELECT avg(exp(z / 1e6)) FROM t)",
        "SELECT log3(2, 3, 4) AS r",
        "SET warpframe.fuse = false; SELECT sum(ln(x)*ln(y)) AS r FROM t",
        "SET warpframe.backend = 'interpreted'; SELECT sum(ln(x)*ln(y)) AS r FROM t",
    ];
    for query in queries {
        let arguments = ["sql", "--table", "t=t.parquet", "--format", "csv", "-q", query];
        let local = ok(folder, &arguments).stdout;
        let distributed = ok(folder, &[&arguments[..], &["--cluster", &cluster.url]].concat()).stdout;
        check_same(&distributed, &local);
    }
    // EXPLAIN shows the cluster, and EXPLAIN ANALYZE the metrics of each operator.
    let sum = "SELECT sum(log3(x, y, z)) AS r FROM t";
    let explain = |what: &str| {
        let query = format!("{what} {sum}");
        // HOST:PORT is enough.
        let address = cluster.url.trim_start_matches("df://");
        ok(folder, &["sql", "--table", "t=t.parquet", "--cluster", address, "-q", &query]).stdout
    };
    let place = format!("ClusterExec: {}, executors=2, slots=2", cluster.url);
    let indented = explain("EXPLAIN FORMAT INDENT");
    assert!(indented.contains(&place), "{indented}");
    let tree = explain("EXPLAIN");
    for part in
        ["│        ClusterExec        │", "executors: 2", "slots: 2", "AggregateExec", "format: parquet"]
    {
        assert!(tree.contains(part), "{part} is not in {tree}");
    }
    let other = format!("EXPLAIN SELECT 1; EXPLAIN FORMAT PGJSON {sum}");
    let other = ok(folder, &["sql", "--table", "t=t.parquet", "--cluster", &cluster.url, &other]).stdout;
    assert!(other.contains("PlaceholderRowExec") && other.contains("Node Type"), "{other}");
    // Executors fuse the operators of their stages: the plan that they are sent has those of the query.
    let query = "SELECT k, sum(a), count(*) FROM (SELECT id % 3 AS k, ln(x) * y AS a FROM t WHERE ln(x) > 12) GROUP BY k";
    let query = format!("SET datafusion.explain.format = 'indent'; EXPLAIN {query}");
    let plan = ok(
        folder,
        &["sql", "--table", "t=t.parquet", "--cluster", &cluster.url, "--format", "ndjson", "-q", &query],
    );
    let plan: Vec<serde_json::Value> =
        plan.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let plan: Vec<_> =
        plan.iter().map(|row| row["plan"].as_str().unwrap().replace(&cluster.url, "<url>")).collect();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\{\d+ groups?: .*?\]\]\}", "{files}");
    settings.bind(|| insta::assert_snapshot!("cluster_plan", plan.join("\n")));
    let table = explain("EXPLAIN ANALYZE");
    for part in
        ["| operator ", "ClusterExec: ", "├─ Stage 2: ", "└─ Stage 1: ", "└─ DataSourceExec: ", "| 100000 |"]
    {
        assert!(table.contains(part), "{part} is not in {table}");
    }
    let analyzed = format!("EXPLAIN ANALYZE {sum}");
    let whole = ["sql", "--table", "t=t.parquet", "--cluster", &cluster.url, "--format", "csv", &analyzed];
    let analyzed = ok(folder, &whole).stdout;
    // Of readers of shuffle data too.
    let reader = analyzed.lines().find(|line| line.contains("ShuffleReaderExec")).unwrap();
    assert!(!reader.contains("NOT RECORDED") && !reader.contains("output_batches=0"), "{reader}");
    for part in [
        "Stage 2: ",
        "Stage 1: ",
        "AggregateExec: mode=Partial",
        // A metric of fused operators.
        "input_rows=100.0 K",
        "file_type=parquet, metrics=[output_rows=100.0 K",
    ] {
        assert!(analyzed.contains(part), "{part} is not in {analyzed}");
    }
    // One task for each target partition.
    let partitioned = format!("SET datafusion.execution.target_partitions = 7; EXPLAIN ANALYZE {sum}");
    let run =
        ok(folder, &["sql", "--cluster", &cluster.url, "-q", &partitioned.replace("FROM t", "FROM rows")]);
    assert!(run.stdout.contains("Stage 1: partitions=7"), "{}", run.stdout);
    // Errors name the reason and the executor.
    let negative = "SELECT sum(sqrt(x - 10)) AS r FROM t";
    let arguments = ["sql", "--cluster", &cluster.url, "--table", "t=t.parquet", "-q", negative];
    let expected = ["executor ", ": cannot take square root of a negative number, in sqrt(x - 10)\n"];
    expect_failure(folder, &arguments, 1, &expected);
    let random =
        "CREATE FUNCTION twice(a DOUBLE) RETURNS DOUBLE RETURN a + a; SELECT sum(twice(random())) FROM t";
    let arguments = ["sql", "--cluster", &cluster.url, "--table", "t=t.parquet", "-q", random];
    expect_failure(
        folder,
        &arguments,
        1,
        &["twice cannot run on a cluster with an argument that is different"],
    );
    // A query that is planned with many aggregates, and a table that is read here.
    let summary = cluster.sql("SUMMARIZE SELECT id, id % 7 AS r FROM generate_rows(100000)");
    assert!(
        summary.contains("id,Int64,100000,0,") && summary.contains("r,Int64,100000,0,7,0,6,3.0,2.0,"),
        "{summary}"
    );
    let footer = [
        "sql",
        "--cluster",
        &cluster.url,
        "--format",
        "csv",
        "SELECT sum(num_rows) AS n FROM parquet_file_metadata('t.parquet')",
    ];
    assert_eq!(ok(folder, &footer).stdout, "n\n100000\n");
}

#[test]
fn in_memory_tables_are_sent_to_executors() {
    let cluster = Cluster::start(1, 2);
    for rows in [3u64, 1_000_000] {
        let found = cluster.sql(&format!(
            "CREATE TABLE t AS SELECT id, x FROM generate_rows({rows}); SELECT count(*) AS n, sum(x) AS s FROM t"
        ));
        let sum = rows * (rows + 1) / 2;
        check_same(&found, &format!("n,s\n{rows},{sum}.0\n"));
    }
}

#[test]
fn a_limit_does_not_truncate_a_staged_table() {
    let cluster = Cluster::start(1, 2);
    // Large enough for staged files, which later queries reuse.
    let found = cluster.sql(
        "CREATE TABLE t AS SELECT id, x, CASE WHEN id % 3 = 0 THEN 'a' || id END AS s FROM generate_rows(1000000);
         SELECT count(*) AS n FROM (SELECT * FROM t LIMIT 5);
         SELECT count(id) AS n, sum(x) AS x, count(s) AS s, max(s) AS m FROM t;
         SELECT count(*) AS n FROM (SELECT * FROM t LIMIT 7);
         SELECT id, s FROM t ORDER BY id LIMIT 4",
    );
    let lines: Vec<_> = found.split_whitespace().collect();
    let expected = ["n", "5", "n,x,s,m", "1000000,500000500000.0,333334,a999999", "n", "7"];
    assert_eq!(lines[..6], expected);
    assert_eq!(lines[6..], ["id,s", "0,a0", "1,", "2,", "3,a3"]);
}

#[test]
fn run_writes_its_output_on_the_executors() {
    let cluster = Cluster::start(2, 1);
    let folder = cluster.folder.path();
    ok(folder, &["generate", "--rows", "300000", "--files", "5", "--out", "in"]);
    let select = "id, log3(x, y, z) AS r";
    ok(folder, &["run", "--in", "in", "--select", select, "--out", "local.parquet"]);
    let before = entries(folder);
    for out in ["out.parquet", "out"] {
        ok(folder, &["run", "--cluster", &cluster.url, "--in", "in", "--select", select, "--out", out]);
        let query = "SELECT (SELECT count(*) FROM b) AS n, count(*) AS same FROM a JOIN b ON a.id = b.id AND a.r = b.r";
        let (a, b) = ("a=local.parquet", format!("b={out}"));
        let run = ok(folder, &["sql", "--table", a, "--table", &b, "--format", "csv", "-q", query]);
        assert_eq!(run.stdout, "n,same\n300000,300000\n");
    }
    // Rows are in input order, and no temporary files remain.
    let first = "SELECT id FROM b LIMIT 3";
    let run =
        ok(folder, &["sql", "--threads", "1", "--table", "b=out.parquet", "--format", "csv", "-q", first]);
    assert_eq!(run.stdout, "id\n0\n1\n2\n");
    let mut expected = before;
    expected.extend(["out".to_owned(), "out.parquet".to_owned()]);
    expected.sort();
    assert_eq!(entries(folder), expected);
    // Other formats, joined and compressed, and partition folders.
    let formats = folder.join("formats");
    std::fs::create_dir(&formats).unwrap();
    let on_cluster = ["run", "--cluster", &cluster.url, "--in", "in", "--select"];
    for (select, out) in
        [("id, x", "b.csv"), ("id, x", "b.ndjson.gz"), ("id, x", "b.arrow"), ("id, x", "b.json")]
    {
        let out = format!("formats/{out}");
        ok(folder, &[&on_cluster[..], &[select, "--out", &out]].concat());
        let query = format!("SELECT id FROM '{out}'");
        let run = ok(folder, &["sql", "--threads", "1", "--format", "csv", "-q", &query]);
        let ids = run.stdout.lines().skip(1).map(|id| id.parse::<u64>().unwrap());
        assert!(ids.eq(0..300_000), "{out}");
    }
    for format in ["parquet", "csv"] {
        let out = format!("formats/{format}");
        let more = ["id, id % 2 AS m", "--partition-by", "m", "--out", &out, "--out-format", format];
        ok(folder, &[&on_cluster[..], &more].concat());
        assert_eq!(entries(&folder.join(&out)), ["m=0", "m=1"]);
        let query = format!(
            "SELECT count(*) AS n, count(DISTINCT id) AS d, sum(m) AS s FROM '{out}' WHERE id % 2 = m"
        );
        let run = ok(folder, &["sql", "--format", "csv", "-q", &query]);
        assert_eq!(run.stdout, "n,d,s\n300000,300000,150000\n");
    }
    let streamed = ok(folder, &[&on_cluster[..], &["id", "--out", "-", "--out-format", "csv"]].concat());
    assert!(streamed.stdout.lines().skip(1).map(|id| id.parse::<u64>().unwrap()).eq(0..300_000));
    std::fs::remove_dir_all(formats).unwrap();
    let stdin =
        ["run", "--cluster", &cluster.url, "--in", "-", "--in-format", "csv", "--select", "a", "--out", "no"];
    let mut stdin =
        common::command(folder).args(stdin).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut stdin.stdin.take().unwrap(), b"a\n1\n").unwrap();
    let refused = common::finish(stdin.wait_with_output().unwrap());
    assert!(refused.code == Some(1) && refused.stderr.contains("cannot be read on a cluster"), "{refused:?}");
    let failing =
        ["run", "--cluster", &cluster.url, "--in", "in", "--select", "sqrt(-x) AS r", "--out", "no"];
    expect_failure(folder, &failing, 1, &["cannot take square root of a negative number"]);
}

#[test]
fn a_killed_executor_does_not_change_a_sum() {
    let cluster = Cluster::start(3, 1);
    let query = cluster.begin(&sum_query());
    cluster.wait_for_progress();
    cluster.executors[1].signal("KILL");
    check_sum(&query.wait(LIMIT));
    cluster.wait_for(2);
}

/// Creates an input folder with `failure_rows` rows: hard links to a file of one million. Returns the number of rows
/// and the sum of `log3`.
fn large_input(folder: &Path) -> (u64, f64) {
    ok(folder, &["generate", "--rows", "1M", "--out", "part.parquet"]);
    std::fs::create_dir(folder.join("in")).unwrap();
    let files = failure_rows() / 1_000_000;
    for file in 0..files {
        std::fs::hard_link(folder.join("part.parquet"), folder.join(format!("in/{file:03}.parquet")))
            .unwrap();
    }
    let query = "SELECT sum(log3(x, y, z)) AS s FROM t";
    let run = ok(folder, &["sql", "--table", "t=part.parquet", "--format", "csv", "-q", query]);
    let sum: f64 = run.stdout.lines().nth(1).unwrap().parse().unwrap();
    (files * 1_000_000, sum * files as f64)
}

fn begin_run(cluster: &Cluster) -> Process {
    let select = "log3(x, y, z) AS r";
    let arguments = [
        "run",
        "--cluster",
        &cluster.url,
        "--threads",
        "24",
        "--in",
        "in",
        "--select",
        select,
        "--out",
        "out",
    ];
    Process::start(cluster.folder.path(), &arguments)
}

fn check_run(cluster: &Cluster, run: Process, (rows, sum): (u64, f64)) {
    let run = run.wait(LIMIT);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let query = "SELECT count(*) AS n, sum(r) AS s FROM t";
    let run = ok(cluster.folder.path(), &["sql", "--table", "t=out", "--format", "csv", "-q", query]);
    check_same(&run.stdout, &format!("n,s\n{rows},{sum}\n"));
    let hidden: Vec<_> =
        entries(cluster.folder.path()).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(hidden, Vec::<String>::new());
}

#[test]
fn a_killed_executor_loses_no_rows_of_a_run() {
    let cluster = Cluster::start(3, 1);
    let expected = large_input(cluster.folder.path());
    let run = begin_run(&cluster);
    cluster.wait_for_progress();
    cluster.executors[0].signal("KILL");
    check_run(&cluster, run, expected);
}

#[test]
fn a_resumed_executor_duplicates_no_rows() {
    let cluster = Cluster::start(3, 1);
    let expected = large_input(cluster.folder.path());
    let run = begin_run(&cluster);
    cluster.wait_for_progress();
    cluster.executors[2].signal("STOP");
    let stopped = Instant::now();
    check_run(&cluster, run, expected);
    // The executor is removed, resumes a task that others have completed, and registers again.
    cluster.wait_for(2);
    while stopped.elapsed() < Duration::from_secs(25) {
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.executors[2].signal("CONT");
    cluster.wait_for(3);
    check_sum(&cluster.begin(&sum_query()).wait(LIMIT));
    let query = "SELECT count(*) AS n FROM t";
    let run = ok(cluster.folder.path(), &["sql", "--table", "t=out", "--format", "csv", "-q", query]);
    assert_eq!(run.stdout, format!("n\n{}\n", expected.0));
}

#[test]
fn a_drained_executor_finishes_or_hands_over_its_tasks() {
    let mut cluster = Cluster::start(3, 1);
    let query = cluster.begin(&sum_query());
    cluster.wait_for_progress();
    let drained = cluster.executors.remove(0);
    drained.signal("TERM");
    check_sum(&query.wait(LIMIT));
    assert_eq!(drained.wait(Duration::from_secs(60)).code, Some(143));
    cluster.wait_for(2);
}

#[test]
fn a_lost_scheduler_is_an_error_and_executors_join_its_successor() {
    let mut cluster = Cluster::start(2, 1);
    let query = cluster.begin(&sum_query());
    cluster.wait_for_progress();
    drop(cluster.scheduler.take());
    let gone = query.wait(Duration::from_secs(15));
    assert_eq!(gone.code, Some(1), "{gone:#?}");
    assert!(gone.stderr.contains("is gone: the query cannot be finished"), "{gone:#?}");
    // The executors keep running, and register with the next scheduler at the same address.
    std::thread::sleep(Duration::from_secs(3));
    let address = cluster.url.strip_prefix("df://").unwrap();
    let mut scheduler = Process::start(cluster.folder.path(), &["cluster", "scheduler", "--bind", address]);
    assert_eq!(scheduler.first_line(), cluster.url);
    cluster.scheduler = Some(scheduler);
    cluster.wait_for(2);
    check_sum(&cluster.begin(&sum_query()).wait(LIMIT));
}

#[test]
fn errors_name_a_missing_scheduler_or_executor() {
    let folder = tempdir().unwrap();
    let query = "SELECT sum(x) FROM rows";
    let none = ["sql", "--cluster", "df://127.0.0.1:9", "-q", query];
    expect_failure(folder.path(), &none, 1, &["no scheduler answers at df://127.0.0.1:9"]);
    expect_failure(
        folder.path(),
        &["sql", "--cluster", "http://elsewhere:1", "-q", query],
        2,
        &["use df://HOST:PORT"],
    );

    let cluster = Cluster::start(0, 1);
    let start = Instant::now();
    let waiting = ["sql", "--cluster", &cluster.url, "--cluster-wait", "2", "-q", query];
    expect_failure(folder.path(), &waiting, 1, &["has no executor, after 2 seconds of waiting"]);
    assert!((2..10).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let taken = cluster.url.strip_prefix("df://").unwrap();
    expect_failure(
        folder.path(),
        &["cluster", "scheduler", "--bind", taken],
        1,
        &["cannot listen at", "in use"],
    );
    let port = taken.rsplit(':').next().unwrap();
    let executor = ["cluster", "executor", "--scheduler", taken, "--port", port];
    expect_failure(folder.path(), &executor, 1, &["cannot listen at", "in use"]);
}

#[test]
fn fifty_clients_share_two_executors() {
    let cluster = Cluster::start(2, 1);
    let clients: Vec<_> = (1..=50u64)
        .map(|client| {
            let query = format!("SELECT sum(x) AS s FROM generate_rows({})", client * 1000);
            let arguments =
                ["sql", "--cluster", &cluster.url, "--cluster-wait", "60", "--format", "csv", "-q", &query];
            (client * 1000, Process::start(cluster.folder.path(), &arguments))
        })
        .collect();
    for (rows, client) in clients {
        let run = client.wait(LIMIT);
        assert_eq!(run.stdout, format!("s\n{}.0\n", rows * (rows + 1) / 2), "{run:#?}");
    }
}

/// A scheduler that responds with this status to any token.
#[derive(Clone)]
struct FakeScheduler(String);

impl tonic::server::NamedService for FakeScheduler {
    const NAME: &'static str = "warpframe.Cluster";
}

impl tonic::server::UnaryService<()> for FakeScheduler {
    type Response = String;
    type Future = Ready<Result<tonic::Response<String>, tonic::Status>>;

    fn call(&mut self, _: tonic::Request<()>) -> Self::Future {
        ready(Ok(tonic::Response::new(self.0.clone())))
    }
}

impl tower_service::Service<http::Request<tonic::body::Body>> for FakeScheduler {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let service = self.clone();
        let mut server = tonic::server::Grpc::new(tonic_prost::ProstCodec::default());
        Box::pin(async move { Ok(server.unary(service, request).await) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_versions_are_rejected() {
    let serve = async |status: &str| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("df://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder().add_service(FakeScheduler(status.to_owned()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        url
    };
    let ours = env!("CARGO_PKG_VERSION");
    let folder = tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("token"), "a token that anyone takes".replace(' ', "-")).unwrap();
    let sql = |url: &str, words: &[&str]| {
        let query = "SELECT sum(x) FROM rows";
        expect_failure(folder, &["sql", "--cluster", url, "--token-file", "token", "-q", query], 1, words);
    };
    let scheduler = serve(r#"{"version":"0.0.7","executors":[],"jobs":[]}"#).await;
    let words = [&format!("is warpframe {ours}"), "the scheduler", "warpframe 0.0.7"];
    std::fs::set_permissions(folder.join("token"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    sql(&scheduler, &words);
    let executor = ["cluster", "executor", "--scheduler", &scheduler, "--token-file", "token"];
    expect_failure(folder, &executor, 1, &words);
    let executor = format!(
        r#"{{"version":"{ours}","executors":[{{"name":"e","address":"h:1","version":"0.0.8","backend":"simd","slots":1,"seen_seconds_ago":0}}],"jobs":[]}}"#
    );
    let words = ["executor e is warpframe 0.0.8", &format!("this is warpframe {ours}")];
    sql(&serve(&executor).await, &words);
    // A build from another revision.
    let revision = env!("WARPFRAME_GIT_REVISION");
    if revision != "unknown" {
        let other = format!("{ours}+000000000000");
        let words = [
            &format!("the scheduler is warpframe {other}"),
            &*format!("this is warpframe {ours}+{revision}"),
        ];
        let scheduler = serve(&format!(r#"{{"version":"{other}","executors":[],"jobs":[]}}"#)).await;
        sql(&scheduler, &words);
        let words =
            [&format!("the scheduler at {scheduler} is warpframe {other}"), &*format!("{ours}+{revision}")];
        let executor = ["cluster", "executor", "--scheduler", &scheduler, "--token-file", "token"];
        expect_failure(folder, &executor, 1, &words);
    }
    sql(&serve("hello").await, &["is not a scheduler of warpframe"]);
    // A server of another protocol.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("df://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        }
    });
    sql(&url, &["is not a scheduler of warpframe"]);
}

#[test]
fn ctrl_c_cancels_the_query_on_the_cluster() {
    let cluster = Cluster::start(1, 1);
    let query = cluster.begin(&sum_query());
    cluster.wait_for_progress();
    query.signal("INT");
    assert_eq!(query.wait(Duration::from_secs(10)).code, Some(130));
    let start = Instant::now();
    loop {
        let status = cluster.status();
        if status["jobs"].as_array().unwrap().iter().all(|job| job["state"] == "failed") {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(cluster.sql("SELECT sum(x) AS s FROM generate_rows(3)"), "s\n6.0\n");
}

#[test]
fn a_local_cluster_leaves_nothing_behind() {
    for (signal, code) in [("INT", Some(130)), ("TERM", Some(143)), ("HUP", Some(129)), ("KILL", None)] {
        let temporary = tempdir().unwrap();
        let arguments = ["cluster", "local", "--executors", "2", "--slots", "1", "--port", "0"];
        let mut command = command(temporary.path());
        let mut local = Process::spawn(command.args(arguments).env("TMPDIR", temporary.path()));
        let url = local.first_line();
        let query = "SELECT sum(x) AS s FROM generate_rows(3)";
        let run = ok(temporary.path(), &["sql", "--cluster", &url, "--format", "csv", "-q", query]);
        assert_eq!(run.stdout, "s\n6.0\n");
        let children = children_of(local.0.id());
        assert_eq!(children.len(), 2);
        local.signal(signal);
        assert_eq!(local.wait(Duration::from_secs(20)).code, code);
        let start = Instant::now();
        while children.iter().any(|process| Path::new(&format!("/proc/{process}")).exists()) {
            assert!(start.elapsed() < Duration::from_secs(20), "an executor outlives its cluster");
            std::thread::sleep(Duration::from_millis(50));
        }
        if signal != "KILL" {
            assert_eq!(entries(temporary.path()), Vec::<String>::new(), "after SIG{signal}");
        }
    }
}

fn children_of(parent: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    children.unwrap_or_default().split_whitespace().map(|process| process.parse().unwrap()).collect()
}

/// A command that runs a shell script in a mount namespace; `None` without the permission for it.
fn in_namespace(folder: &Path, script: &str) -> Option<Command> {
    let allowed = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).current_dir(folder).stdin(Stdio::null());
    Some(command)
}

#[test]
fn errors_name_an_executor_with_a_full_disk_or_a_missing_file() {
    let mut cluster = Cluster::start(0, 1);
    let folder = cluster.folder.path().to_owned();
    ok(&folder, &["generate", "--rows", "400000", "--out", "in.parquet"]);
    std::fs::create_dir(folder.join("work")).unwrap();
    let binary = env!("CARGO_BIN_EXE_warpframe");
    let executor =
        format!("exec {binary} cluster executor --slots 1 --work-dir work --scheduler {}", cluster.url);
    let full = format!("mount -t tmpfs -o size=1m none work && {executor}");
    let Some(mut command) = in_namespace(&folder, &full) else {
        return skipped("a full disk and a missing file need mount namespaces (unshare -m)");
    };
    cluster.executors.push(Process::spawn(&mut command));
    cluster.wait_for(1);
    let query = ["sql", "--cluster", &cluster.url, "--table", "t=in.parquet", "-q", "SELECT x, y FROM t"];
    expect_failure(&folder, &query, 1, &["executor ", "cannot write into the work folder", "No space left"]);
    cluster.executors.clear();
    cluster.wait_for(0);

    let missing = format!("mount -t tmpfs none \"$PWD\" && mkdir \"$PWD/work\" && {executor}");
    cluster.executors.push(Process::spawn(&mut in_namespace(&folder, &missing).unwrap()));
    cluster.wait_for(1);
    let query = ["sql", "--cluster", &cluster.url, "--table", "t=in.parquet", "-q", "SELECT sum(x) FROM t"];
    expect_failure(&folder, &query, 1, &["executor ", "in.parquet", "not found"]);
}

/// Hosts, simulated by network namespaces on a bridge, that are removed on drop.
struct Hosts(Vec<String>);

impl Hosts {
    fn new(count: usize) -> Option<Self> {
        let id = std::process::id() % 10_000;
        let mut hosts = Self(Vec::new());
        let bridge = format!("wfb{id}");
        if !run("ip", &["link", "add", &bridge, "type", "bridge"]) {
            return None;
        }
        hosts.0.push(bridge.clone());
        let mut works = run("ip", &["link", "set", &bridge, "up"]);
        for host in 1..=count {
            let (name, link) = (format!("wf{id}-{host}"), format!("wfl{id}-{host}"));
            works &= run("ip", &["netns", "add", &name]);
            hosts.0.push(name.clone());
            works &=
                run("ip", &["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &name]);
            works &= run("ip", &["link", "set", &link, "master", &bridge, "up"]);
            works &= run("ip", &["-n", &name, "addr", "add", &format!("10.77.0.{host}/24"), "dev", "eth0"]);
            works &= run("ip", &["-n", &name, "link", "set", "eth0", "up"]);
            works &= run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        }
        works.then_some(hosts)
    }

    fn link(&self, host: usize, state: &str) {
        let link = self.0[host].replacen("wf", "wfl", 1);
        assert!(run("ip", &["link", "set", &link, state]));
    }

    fn start(&self, folder: &Path, host: usize, arguments: &[&str]) -> Process {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0[host], env!("CARGO_BIN_EXE_warpframe")]);
        Process::spawn(command.args(arguments).current_dir(folder).stdin(Stdio::null()))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for (index, name) in self.0.iter().enumerate() {
            match index {
                0 => run("ip", &["link", "del", name]),
                _ => run("ip", &["netns", "del", name]),
            };
        }
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stderr(Stdio::null()).stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_disconnected_host_is_replaced_and_rejoins() {
    let Some(hosts) = Hosts::new(4) else {
        return skipped(
            "several hosts need network namespaces (iproute2, and the permission to create them)",
        );
    };
    let folder = tempdir().unwrap();
    let url = "df://10.77.0.1:50050";
    let _scheduler =
        hosts.start(folder.path(), 1, &["cluster", "scheduler", "--bind", "10.77.0.1:50050", "--insecure"]);
    let executors: Vec<_> = (2..=4)
        .map(|host| {
            let bind = format!("10.77.0.{host}");
            let arguments = ["cluster", "executor", "--scheduler", url, "--slots", "1", "--bind", &bind];
            hosts.start(folder.path(), host, &[&arguments[..], &["--insecure"]].concat())
        })
        .collect();
    let status = || -> serde_json::Value {
        let run = hosts.start(folder.path(), 1, &["cluster", "status", url, "--json"]).wait(LIMIT);
        serde_json::from_str(&run.stdout).unwrap_or_default()
    };
    let wait_until = |condition: &dyn Fn(&serde_json::Value) -> bool| {
        let start = Instant::now();
        loop {
            let status = status();
            if condition(&status) {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let count = |executors: usize| {
        move |status: &serde_json::Value| status["executors"].as_array().map(Vec::len) == Some(executors)
    };
    wait_until(&count(3));
    let arguments = ["sql", "--cluster", url, "--threads", "24", "--format", "csv", "-q", &sum_query()];
    let query = hosts.start(folder.path(), 1, &arguments);
    wait_until(&|status| status["jobs"][0]["progress"]["done"].as_u64() > Some(0));
    hosts.link(3, "down");
    check_sum(&query.wait(LIMIT));
    wait_until(&count(2));
    hosts.link(3, "up");
    wait_until(&count(3));
    check_sum(&hosts.start(folder.path(), 1, &arguments).wait(LIMIT));
    drop(executors);
}

#[test]
fn compare_runs_on_a_named_cluster() {
    let cluster = Cluster::start(1, 3);
    let arguments =
        ["compare", "--rows", "20000", "--repeat", "2", "--modes", "parallel,cluster", "--report", "r"];
    let run =
        ok(cluster.folder.path(), &[&arguments[..], &["--json", "-", "--cluster", &cluster.url]].concat());
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let mode = &report["modes"][1];
    assert_eq!((&mode["mode"], &mode["status"]), (&"cluster".into(), &"ok".into()), "{mode}");
    assert_eq!(mode["source"], "memory", "{mode}");
    assert_eq!(
        (&mode["threads"], &mode["split"]["start_ms"]),
        (&3.into(), &serde_json::Value::Null),
        "{mode}"
    );
    let without = ok(cluster.folder.path(), &[&arguments[..], &["--json", "-"]].concat());
    let report: serde_json::Value = serde_json::from_str(&without.stdout).unwrap();
    assert_eq!(report["modes"][1]["reason"], "no cluster was named: use --cluster df://HOST:PORT");
}

#[test]
fn cluster_commands_document_their_arguments() {
    let folder = tempdir().unwrap();
    let run = finish(command(folder.path()).args(["cluster", "--help"]).output().unwrap());
    for word in ["local", "scheduler", "executor", "status"] {
        assert!(run.stdout.contains(word), "{}", run.stdout);
    }
    expect_failure(folder.path(), &["cluster", "executor", "--scheduler", "x:0"], 2, &["use df://HOST:PORT"]);
    let wait = ["sql", "--cluster-wait", "3", "-q", "SELECT 1"];
    expect_failure(folder.path(), &wait, 2, &["--cluster"]);
}

/// Sessions of a local cluster memory-map the result files, others fetch results from the executors. The rows are the
/// same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn results_are_read_from_local_files_on_a_local_cluster() {
    let cluster = LocalCluster::start_in_process(2.try_into().unwrap()).await.unwrap();
    let query = "SELECT id, log3(x, y, z) AS r FROM generate_rows(100000)";
    let text = async |session: &Session, query: &str| {
        let batches = session.sql(query).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    };
    // Sorted, because the order of partitions is not determined.
    let rows = async |session: &Session| {
        let mut lines: Vec<_> = text(session, query).await.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let local = rows(&Session::builder().build().unwrap()).await;
    assert_eq!(local.iter().filter(|line| line.starts_with('|')).count(), 100_001);
    for (settings, from_files) in
        [(cluster.settings(), true), (ClusterSettings::new(cluster.address().clone()), false)]
    {
        let session = Session::builder().cluster(settings).build().unwrap();
        assert!(rows(&session).await == local, "from files: {from_files}");
        let analyzed = text(&session, &format!("EXPLAIN ANALYZE {query}")).await;
        let line = analyzed.lines().find(|line| line.contains("ClusterExec")).unwrap();
        assert!(line.contains("output_rows=100.0 K, elapsed_compute="), "{line}");
        assert!(!line.contains("NOT RECORDED") && !line.contains("output_batches=0"), "{line}");
        assert!(
            line.contains(if from_files { "local_partitions=4" } else { "local_partitions=0" }),
            "{line}"
        );
    }
}

/// The staged files of an in-memory table are reused while the table exists, and removed after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dropped_table_leaves_no_staged_files() {
    let cluster = LocalCluster::start_in_process(2.try_into().unwrap()).await.unwrap();
    let session = Session::builder().cluster(cluster.settings()).build().unwrap();
    let scan = async |query: &str| {
        let plan = session.sql(query).await.unwrap().create_physical_plan().await.unwrap();
        let text = format!("{plan:?}");
        let name = text.find("warpframe-tables-").expect("a table of 16 MB is staged in files");
        let start = text[..name].rfind('"').unwrap() + 1;
        let end = name + text[name..].find('/').unwrap();
        PathBuf::from(&text[start..end])
    };
    let batch = |first: f64| {
        let column: ArrayRef =
            Arc::new(Float64Array::from_iter_values((0..2_000_000).map(|row| row as f64 + first)));
        RecordBatch::try_from_iter([("x", column)]).unwrap()
    };
    let add = |name: &str, batch: RecordBatch| session.context().register_batch(name, batch).unwrap();
    add("t", batch(0.0));
    let first = scan("SELECT x FROM t").await;
    assert_eq!(scan("SELECT sum(x) FROM t").await, first, "it is staged once");
    assert!(first.is_dir());

    let query = "SELECT sum(x) AS s FROM t";
    let running = session.sql(query).await.unwrap().create_physical_plan().await.unwrap();
    session.context().deregister_table("t").unwrap();
    add("u", batch(1.0));
    let second = scan("SELECT x FROM u").await;
    assert_ne!(second, first);
    assert!(first.is_dir(), "a plan still reads it");
    let sum = collect(Arc::clone(&running), session.context().task_ctx()).await.unwrap();
    assert_eq!(sum[0].column(0).as_primitive::<Float64Type>().value(0), 1_999_999_000_000.0);
    drop(running);
    assert!(!first.exists(), "{}", first.display());
    drop(session);
    assert!(!second.exists(), "{}", second.display());
}

#[test]
fn the_status_is_that_of_the_local_cluster_by_default() {
    if std::net::TcpListener::bind("127.0.0.1:50050").is_err() {
        return common::skipped("the default port of clusters is in use");
    }
    let folder = tempdir().unwrap();
    let mut scheduler = Process::start(folder.path(), &["cluster", "scheduler"]);
    assert_eq!(scheduler.first_line(), "df://127.0.0.1:50050");
    let status = ok(folder.path(), &["cluster", "status"]);
    assert!(status.stdout.contains("warpframe ") && status.stdout.contains("0 slots"), "{}", status.stdout);
}
