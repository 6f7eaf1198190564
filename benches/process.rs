//! Measurements of whole processes: batch runs and DataFusion's COPY, peak memory for 10 and 40 million rows, time and
//! size for writer settings, and the time of a trivial query.
//!
//! `cargo bench --bench process`

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::median;
use datafusion::prelude::{SessionConfig, SessionContext};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measurements of a process that has exited successfully.
#[derive(Clone, Copy)]
struct Measured {
    time: Duration,
    /// The peak resident memory in MiB (`VmHWM`).
    peak: f64,
}

fn main() {
    // With this flag, the benchmark binary is the plain DataFusion process of the comparison.
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [flag, query] = &arguments[..]
        && flag == "--datafusion"
    {
        return datafusion(query);
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    start_up(at);
    batch_runs(at);
}

/// Plain DataFusion with its default options.
fn datafusion(query: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let context = SessionContext::new_with_config(SessionConfig::new());
        for statement in query.split(';') {
            let batches = context.sql(statement).await.unwrap().collect().await.unwrap();
            println!("{}", arrow::util::pretty::pretty_format_batches(&batches).unwrap());
        }
    });
}

fn start_up(at: &Path) {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        ours.push(warpframe(at, &["sql", "-q", "SELECT 1"]).time);
        bare.push(peer(at, "SELECT 1").time);
    }
    report("SELECT 1: warpframe / bare DataFusion", median(ours), median(bare), "<= 1.5");
}

fn batch_runs(at: &Path) {
    for (name, rows) in [("ten.parquet", "10M"), ("forty.parquet", "40M")] {
        warpframe(at, &["generate", "--rows", rows, "--out", name]);
    }
    let select = "id, log3(x, y, z) AS r";
    let copy = "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'ten.parquet'; \
                COPY (SELECT id, ln(x) * ln(y) * ln(z) AS r FROM t) TO 'copy.parquet' STORED AS PARQUET";
    let (mut ours, mut single, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..7 {
        ours.push(warpframe(
            at,
            &["run", "--in", "ten.parquet", "--select", select, "--out", "out", "--overwrite"],
        ));
        single.push(warpframe(
            at,
            &["run", "--in", "ten.parquet", "--select", select, "--out", "out.parquet", "--overwrite"],
        ));
        theirs.push(peer(at, copy));
    }
    let times = |runs: &[Measured]| median(runs.iter().map(|run| run.time).collect());
    report("run, 10M rows into shards / DataFusion COPY", times(&ours), times(&theirs), "<= 0.5");
    report("run, 10M rows into one file / DataFusion COPY", times(&single), times(&theirs), "<= 0.5");
    let forty =
        warpframe(at, &["run", "--in", "forty.parquet", "--select", select, "--out", "out", "--overwrite"]);
    println!(
        "peak memory of run: {:.0} MiB for 10M rows, {:.0} MiB for 40M rows (goal < 300, flat); COPY {:.0} MiB",
        ours[0].peak, forty.peak, theirs[0].peak
    );

    println!("\nwriter settings, 10M rows of id and r (time, size):");
    for (input, rows) in [("ten.parquet", "sequence"), ("uniform.parquet", "uniform")] {
        if rows == "uniform" {
            warpframe(at, &["generate", "--rows", "10M", "--distribution", "uniform", "--out", input]);
        }
        for compression in ["none", "snappy", "lz4", "zstd"] {
            let out = format!("{compression}.parquet");
            let run = [
                "run",
                "--in",
                input,
                "--select",
                select,
                "--out",
                &out,
                "--compression",
                compression,
                "--overwrite",
            ];
            let time = median((0..3).map(|_| warpframe(at, &run).time).collect());
            let size = std::fs::metadata(at.join(&out)).unwrap().len() as f64 / 1e6;
            println!("  {rows:<9} {compression:<7} {:>6.0} ms {size:>7.1} MB", time.as_secs_f64() * 1e3);
        }
    }
    let size = |name: &str| std::fs::metadata(at.join(name)).map_or(0.0, |file| file.len() as f64 / 1e6);
    println!(
        "  sequence  COPY    {:>6.0} ms {:>7.1} MB",
        times(&theirs).as_secs_f64() * 1e3,
        size("copy.parquet")
    );
}

fn report(what: &str, ours: Duration, theirs: Duration, goal: &str) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!(
        "{what}: {:.1} ms / {:.1} ms = {ratio:.2} (goal {goal})",
        ours.as_secs_f64() * 1e3,
        theirs.as_secs_f64() * 1e3
    );
}

fn warpframe(at: &Path, arguments: &[&str]) -> Measured {
    finish(at, Command::new(env!("CARGO_BIN_EXE_warpframe")).args(arguments))
}

fn peer(at: &Path, query: &str) -> Measured {
    // COPY does not replace existing files.
    let _ = std::fs::remove_file(at.join("copy.parquet"));
    finish(at, Command::new(std::env::current_exe().unwrap()).args(["--datafusion", query]))
}

fn finish(at: &Path, command: &mut Command) -> Measured {
    let start = Instant::now();
    let mut child = command.current_dir(at).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The peak can be read only while the process runs.
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if let Ok(status) = std::fs::read_to_string(&status_file)
            && let Some(line) = status.lines().find(|line| line.starts_with("VmHWM:"))
        {
            let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
            peak = kib / 1024.0;
        }
        std::thread::sleep(Duration::from_micros(500));
    };
    assert!(status.success(), "{command:?} failed");
    Measured { time: start.elapsed(), peak }
}
