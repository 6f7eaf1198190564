//! A soak test: mixed queries on a local cluster whose executors are killed at random, for as many seconds as
//! `WARPFRAME_SOAK_SECONDS` says (60 by default). Every answer is compared with that of a session without a cluster.
//!
//! Run it by hand: `cargo test --test soak -- --ignored --nocapture`.

mod common;

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use common::local_cluster::LocalProcesses;
use common::{Run, ok, skipped, warpframe};
use datafusion::common::Result;
use warpframe::Session;
use warpframe::cluster::{ClusterAddress, ClusterSettings};

/// The bounds of the time between two kills, in milliseconds.
const KILL_INTERVAL_MS: (u64, u64) = (4_000, 16_000);

/// The queries over the tables `t` and `u` of 400,000 and 50,000 rows. Their results have a total order.
const QUERIES: [&str; 8] = [
    "SELECT count(*) AS n, sum(id) AS ids, sum(log3(x, y, z)) AS s FROM t",
    "SELECT id % 1000 AS k, count(*) AS n, sum(sqrt(x) * sin(y)) AS s, max(z) AS m FROM t GROUP BY 1 ORDER BY 1",
    "SELECT count(*) AS n, sum(t.x - u.y) AS s FROM t JOIN u ON t.id = u.id * 3",
    "SELECT t.id % 10 AS k, count(*) AS n FROM t LEFT JOIN u ON t.id = u.id WHERE u.id IS NULL GROUP BY 1 ORDER BY 1",
    "SELECT id, x, ln(y) AS l FROM t ORDER BY x DESC, id LIMIT 5000",
    "SELECT id, sum(x) OVER (PARTITION BY id % 7 ORDER BY id ROWS 2 PRECEDING) AS s FROM u ORDER BY id",
    "SELECT id, x * y + z AS r FROM t WHERE sin(x) > 0.9 ORDER BY id",
    "SELECT k, avg(n) AS a FROM (SELECT id % 50 AS k, id % 5000 AS g, count(*) AS n FROM t GROUP BY 1, 2) GROUP BY k ORDER BY k",
];

/// What documented errors of a query say whose executors were lost: while their results were read, or three of them.
const EXPECTED_ERRORS: [&str; 5] = [
    "its results were lost",
    "Ipc error",
    "cannot be fetched",
    "executors were lost while they ran its tasks",
    "has no executor",
];

/// A sequence of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % below
    }
}

#[test]
#[ignore = "takes a minute or more, and is meant to be run by hand"]
fn answers_are_right_while_executors_are_killed() {
    if !cfg!(target_os = "linux") {
        return skipped("finding the processes of executors needs /proc");
    }
    let seconds = std::env::var("WARPFRAME_SOAK_SECONDS").map_or(60, |seconds| seconds.parse().unwrap());
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("{seconds} seconds, seed {seed}");
    let cluster = LocalProcesses::start(&["--executors", "3", "--slots", "2", "--lease", "10"]);
    for (table, rows, files) in [("t", "400000", "8"), ("u", "50000", "3")] {
        let arguments =
            ["generate", "--rows", rows, "--files", files, "--distribution", "uniform", "--out", table];
        ok(cluster.folder(), &arguments);
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let (stopped, kills) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| kill_executors(&cluster, &mut Random(seed), &stopped, &kills));
        let clients: Vec<_> = (1..=2)
            .map(|client| {
                let cluster = &cluster;
                scope.spawn(move || query(cluster, &mut Random(seed ^ client), end))
            })
            .collect();
        let runs = scope.spawn(|| run_batches(&cluster, end));
        // The executors are killed until all clients have ended, also if one of them has panicked.
        let ended: Vec<_> = clients.into_iter().chain([runs]).map(|client| client.join()).collect();
        stopped.store(true, Ordering::Relaxed);
        let mut answers = Answers::default();
        for ended in ended {
            let Answers { right, failed } = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            answers.right += right;
            answers.failed.extend(failed);
        }
        let kills = kills.load(Ordering::Relaxed);
        println!(
            "{} right answers, {} documented errors, {kills} kills",
            answers.right,
            answers.failed.len()
        );
        answers.failed.iter().for_each(|error| println!("  {error}"));
        assert!(kills > 0 && answers.right > 4 * answers.failed.len());
    });
    cluster.wait_until("all executors are back", |cluster| cluster.executors().len() == 3);
    cluster.wait_until("no files are left", |cluster| cluster.job_folders().is_empty());
}

/// The number of right answers, and the documented errors.
#[derive(Default)]
struct Answers {
    right: usize,
    failed: Vec<String>,
}

impl Answers {
    fn failed(&mut self, error: String) {
        assert!(EXPECTED_ERRORS.iter().any(|expected| error.contains(expected)), "{error}");
        self.failed.push(error);
    }
}

fn kill_executors(cluster: &LocalProcesses, random: &mut Random, stopped: &AtomicBool, kills: &AtomicUsize) {
    let (min, max) = KILL_INTERVAL_MS;
    let mut next = Instant::now();
    while !stopped.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + Duration::from_millis(min + random.next(max - min));
        let processes = cluster.processes();
        if let Some(process) = processes.get(random.next(3) as usize) {
            let killed = Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap();
            kills.fetch_add(usize::from(killed.success()), Ordering::Relaxed);
        }
    }
}

/// Runs random queries, and compares their results with those of a session without a cluster.
fn query(cluster: &LocalProcesses, random: &mut Random, end: Instant) -> Answers {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address: ClusterAddress = cluster.url.parse().unwrap();
    let settings = ClusterSettings { wait: Duration::from_secs(60), ..ClusterSettings::new(address) };
    let mut answers = Answers::default();
    runtime.block_on(async {
        let local = session(Session::builder().build(), cluster).await;
        let remote = session(Session::builder().cluster(settings).build(), cluster).await;
        let mut expected = Vec::new();
        for query in QUERIES {
            expected.push(rows(&local, query).await.unwrap());
        }
        while Instant::now() < end {
            let chosen = random.next(QUERIES.len() as u64) as usize;
            match rows(&remote, QUERIES[chosen]).await {
                Ok(found) => {
                    check_same(&found, &expected[chosen], QUERIES[chosen]);
                    answers.right += 1;
                }
                Err(error) => answers.failed(error.to_string()),
            }
        }
        drop(remote);
        warpframe::flush_cleanup().await;
    });
    answers
}

async fn session(session: Result<Session>, cluster: &LocalProcesses) -> Session {
    let session = session.unwrap();
    for table in ["t", "u"] {
        let folder = cluster.folder().join(table);
        let query =
            format!("CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION '{}/'", folder.display());
        session.sql(&query).await.unwrap().collect().await.unwrap();
    }
    session
}

/// The rows of a result as texts.
async fn rows(session: &Session, query: &str) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for batch in session.sql(query).await?.collect().await? {
        let options = FormatOptions::default();
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        rows.extend(
            (0..batch.num_rows())
                .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>()),
        );
    }
    Ok(rows)
}

/// Compares rows; numbers may differ by the order of summation.
fn check_same(found: &[Vec<String>], expected: &[Vec<String>], query: &str) {
    assert_eq!(found.len(), expected.len(), "{query}");
    for (one, other) in found.iter().flatten().zip(expected.iter().flatten()) {
        match (one.parse::<f64>(), other.parse::<f64>()) {
            (Ok(one), Ok(other)) => {
                assert!((one - other).abs() <= 1e-9 * (1.0 + other.abs()), "{one} is not {other}: {query}")
            }
            _ => assert_eq!(one, other, "{query}"),
        }
    }
}

/// Runs batches, and compares their outputs with one that was written without a cluster.
fn run_batches(cluster: &LocalProcesses, end: Instant) -> Answers {
    let folder = cluster.folder();
    let batch = |out: &str, more: &[&str]| -> Run {
        let arguments = ["run", "--in", "t", "--select", "id, log3(x, y, z) AS r", "--out", out];
        warpframe(folder, &[&arguments[..], more].concat())
    };
    assert_eq!(batch("expected", &[]).code, Some(0));
    let mut answers = Answers::default();
    while Instant::now() < end {
        let run = batch("found", &["--cluster", &cluster.url, "--cluster-wait", "60"]);
        if run.code != Some(0) {
            assert!(!folder.join("found").exists(), "{run:#?}");
            answers.failed(run.stderr);
            continue;
        }
        let query = "SELECT (SELECT count(*) FROM f) AS n, count(*) AS same FROM e JOIN f ON e.id = f.id AND e.r = f.r";
        let arguments =
            ["sql", "--table", "e=expected", "--table", "f=found", "--format", "csv", "-q", query];
        assert_eq!(ok(folder, &arguments).stdout, "n,same\n400000,400000\n");
        answers.right += 1;
        std::fs::remove_dir_all(folder.join("found")).unwrap();
    }
    answers
}
