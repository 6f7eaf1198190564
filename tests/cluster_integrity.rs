//! Flipped bits in the files that processes of a cluster exchange: what can be computed again is, and the rest is an error.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::Float64Type;
use arrow::util::pretty::pretty_format_batches;
use common::process::Process;
use common::{command, finish, ok, warpframe};
use datafusion::common::DataFusionError;
use futures::StreamExt;
use tempfile::tempdir;
use warpframe::Session;
use warpframe::cluster::{ClusterSettings, LocalCluster};

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Flips the lowest bit of the byte after each occurrence of `words` in a file; returns whether there is one.
fn flip_after(path: &Path, words: &[u8]) -> bool {
    let mut bytes = fs::read(path).unwrap();
    let found: Vec<_> =
        (0..bytes.len().saturating_sub(words.len())).filter(|at| bytes[*at..].starts_with(words)).collect();
    for at in &found {
        bytes[at + words.len()] ^= 1;
    }
    // Written in place, as a disk that changes its contents.
    fs::write(path, bytes).unwrap();
    !found.is_empty()
}

#[test]
fn shuffle_data_with_a_flipped_bit_is_computed_again() {
    let folder = tempdir().unwrap();
    let mut scheduler = Process::start(folder.path(), &["cluster", "scheduler", "--bind", "127.0.0.1:0"]);
    let url = scheduler.first_line();
    let work = folder.path().join("work");
    let mut executors: Vec<_> = (0..2)
        .map(|_| {
            let mut executor = command(folder.path());
            executor.args(["cluster", "executor", "--scheduler", &url, "--slots", "1", "--work-dir", "work"]);
            Process::spawn(executor.env("WARPFRAME_LOG", "warn"))
        })
        .collect();
    let start = Instant::now();
    while warpframe(folder.path(), &["cluster", "status", &url]).stdout.matches("\nexecutor ").count() < 2 {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(100));
    }
    let query = "SELECT 'group ' || (id % 7) AS key, count(*) AS n, sum(x) AS s FROM generate_rows(1200000) \
                 GROUP BY key ORDER BY key";
    let sql = ["sql", "--format", "csv", "-q", query];
    let expected = ok(folder.path(), &sql).stdout;
    let on_cluster = [&sql[..], &["--cluster", &url, "--threads", "12"]].concat();
    let running =
        command(folder.path()).args(on_cluster).stdout(std::process::Stdio::piped()).spawn().unwrap();
    // The file of the first task of the first stage, as soon as it is complete; other tasks have yet to run.
    let start = Instant::now();
    let damaged = loop {
        let complete = files(&work).into_iter().filter(|path| path.to_string_lossy().ends_with(".arrow.crc"));
        let data = complete.map(|path| path.with_extension("")).find(|path| path.ends_with("data.arrow"));
        if let Some(data) = data {
            break data;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", files(&work));
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(flip_after(&damaged, b"group "), "{} has no groups", damaged.display());
    let run = finish(running.wait_with_output().unwrap());
    assert_eq!((run.code, &*run.stdout), (Some(0), &*expected), "{run:#?}");
    let logs: String = executors
        .drain(..)
        .map(|executor| {
            executor.signal("TERM");
            executor.wait(Duration::from_secs(60)).stderr
        })
        .collect();
    assert!(logs.contains("is damaged: the checksum of the bytes"), "the damage was not noticed: {logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_with_a_flipped_bit_are_an_error() {
    let cluster = LocalCluster::start_in_process(2.try_into().unwrap()).await.unwrap();
    let work = cluster.settings().local_work_dir.unwrap();
    for settings in [cluster.settings(), ClusterSettings::new(cluster.address().clone())] {
        let settings = ClusterSettings { token: cluster.settings().token, ..settings };
        let session = Session::builder().cluster(settings).threads(12.try_into().unwrap()).build().unwrap();
        let query = "SELECT 'row ' || id AS word FROM generate_rows(600000) WHERE id >= 0";
        let mut rows = session.sql(query).await.unwrap().execute_stream().await.unwrap();
        // Later partitions have not been read yet.
        let first = rows.next().await.unwrap().unwrap();
        let flipped: Vec<_> = files(&work)
            .into_iter()
            .filter(|path| path.parent().unwrap().ends_with("9") && path.extension().unwrap() == "arrow")
            .filter(|path| flip_after(path, b"row "))
            .collect();
        assert_eq!(flipped.len(), 1, "{:?}", files(&work));
        let mut count = first.num_rows();
        let error = loop {
            match rows.next().await {
                Some(Ok(batch)) => count += batch.num_rows(),
                Some(Err(error)) => break error.to_string(),
                None => panic!("{count} rows and no error"),
            }
        };
        assert!(error.contains("is damaged: the checksum of the bytes"), "{error}");
        assert!(count < 600_000, "{count} rows before the error");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_table_with_a_flipped_bit_is_an_error() {
    let cluster = LocalCluster::start_in_process(1.try_into().unwrap()).await.unwrap();
    let session = Session::builder().cluster(cluster.settings()).build().unwrap();
    let numbers: ArrayRef = Arc::new(Float64Array::from_iter_values((0..1_000_000).map(f64::from)));
    let table = RecordBatch::try_from_iter([("x", numbers)]).unwrap();
    session.context().register_batch("numbers", table).unwrap();
    let query = "SELECT sum(x) FROM numbers";
    let sum = async || {
        let batches = session.sql(query).await?.collect().await?;
        Ok::<_, DataFusionError>(batches[0].column(0).as_primitive::<Float64Type>().value(0))
    };
    assert_eq!(sum().await.unwrap(), 499_999_500_000.0);
    let plan = session.sql(query).await.unwrap().create_physical_plan().await.unwrap();
    let text = format!("{plan:?}");
    let name = text.find("warpframe-tables-").expect("a table of 8 MB is staged in files");
    let begin = text[..name].rfind('"').map_or(0, |quote| quote + 1);
    let end = name + text[name..].find(['/', '"']).unwrap();
    let staged = files(Path::new(&text[begin..end]));
    let staged: Vec<_> = staged.iter().filter(|path| flip_after(path, &777_777_f64.to_le_bytes())).collect();
    assert_eq!(staged.len(), 1, "{staged:?}");
    let error = sum().await.unwrap_err().to_string();
    assert!(error.contains("is damaged: the checksum of the bytes"), "{error}");
}

/// Every kind of shuffle file, read from the executor's folder and through a connection.
#[tokio::test(flavor = "multi_thread")]
async fn all_readers_give_the_rows_that_were_written() {
    let cluster = LocalCluster::start_in_process(2.try_into().unwrap()).await.unwrap();
    let queries = [
        // Sorted files, and the merge of ordered partitions.
        "SELECT id % 1000 AS k, count(*) AS n, max('text ' || id) AS t FROM generate_rows(50000) GROUP BY k ORDER BY k",
        // A join, and one whose smaller side is read by all tasks.
        "SELECT a.id, b.x FROM generate_rows(30000) a JOIN generate_rows(30000) b ON a.id = b.id + 1 ORDER BY a.id",
        "SELECT a.id, b.x FROM generate_rows(30000) a JOIN (SELECT * FROM generate_rows(10)) b ON a.id % 10 = b.id ORDER BY a.id",
        // The first rows of a merge.
        "SELECT id, x FROM generate_rows(50000) ORDER BY x DESC, id LIMIT 10",
        // No rows.
        "SELECT id, count(*) AS n FROM generate_rows(100) WHERE id < 0 GROUP BY id ORDER BY id",
    ];
    let local = Session::builder().build().unwrap();
    for remote in [false, true] {
        let session =
            Session::builder().cluster(cluster.settings()).threads(6.try_into().unwrap()).build().unwrap();
        let option = format!("SET ballista.shuffle.force_remote_read = {remote}");
        session.sql(&option).await.unwrap().collect().await.unwrap();
        for query in queries {
            let rows = async |session: &Session| {
                let batches = session.sql(query).await.unwrap().collect().await.unwrap();
                pretty_format_batches(&batches).unwrap().to_string()
            };
            let (found, expected) = (rows(&session).await, rows(&local).await);
            assert!(found == expected, "remote: {remote}, {query}:\n{found}\nis not\n{expected}");
        }
    }
}
