//! Fused and unfused evaluation of the twelve formulas of `warpframe compare --suite`, of seven expressions of integers, dates
//! and mixed types, and of filters, aggregates and several outputs in one pass, alternating in one process, with one thread and
//! with all cores. The ratios are the result; absolute times depend on the machine. And what planning adds to small queries.
//!
//! `cargo bench --bench fusion`

mod common;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch};
use common::median;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::Runtime;
use warpframe::Session;
use warpframe::compare::suite::FORMULAS;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 4_000_000;
const REPEATS: usize = 9;

/// Names of expressions, and expressions over the floats and the integers `i` (BIGINT), `k` (INTEGER), `r` (REAL) and the dates
/// `d` and `e`.
const MIXED_EXPRESSIONS: [(&str, &str); 7] = [
    ("scaled integer", "i * 2 + x"),
    ("real and integer", "r * k + 0.5::real * r"),
    ("hash", "(i * 2654435761 ^ (i >> 7)) & 65535"),
    ("remainder and ln", "i % 7 = 0 AND ln(x) > 1"),
    ("integer CASE", "CASE k % 3 WHEN 0 THEN k WHEN 1 THEN k + i ELSE -k END"),
    ("casts", "CAST(x * 100 AS INTEGER) / 7 + CAST(y AS BIGINT)"),
    ("dates", "CASE WHEN d < e THEN d BETWEEN DATE '1999-01-01' AND e ELSE k > 40 END"),
];

/// Names of queries, and queries that are evaluated by fused operators.
const QUERIES: [(&str, &str); 6] = [
    ("two outputs", "SELECT sqrt(x * x + 1) * sin(x), sqrt(x * x + 1) * cos(x) FROM t WHERE sin(x) > 0"),
    ("10 % pass", "SELECT ln(x) * y, ln(x) * z FROM t WHERE ln(x) < 2.302585092994046"),
    ("sum, 10 % pass", "SELECT sum(ln(x) * ln(y) * ln(z)) FROM t WHERE z < 10"),
    ("sum, 90 % pass", "SELECT sum(ln(x) * ln(y) * ln(z)) FROM t WHERE z < 90"),
    ("several sums", "SELECT sum(ln(x) * y), avg(ln(x) * z), max(ln(x) + y) FROM t"),
    ("groups", "SELECT k, sum(ln(x) * y), avg(ln(x) * z) FROM t WHERE ln(x) > 1 GROUP BY k"),
];

fn main() {
    let batch = rows();
    let cores = std::thread::available_parallelism().unwrap();
    for threads in [NonZeroUsize::MIN, cores] {
        println!("{ROWS} rows, {threads} threads: milliseconds, medians of {REPEATS}");
        println!("{:<16} {:>9} {:>9} {:>7}", "expression", "unfused", "fused", "ratio");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads.get()).build().unwrap();
        let sessions = [false, true].map(|fuse| session(&batch, threads, fuse));
        let projection = |(name, expression)| (name, format!("SELECT {expression} AS r FROM t"));
        let formulas = FORMULAS.iter().map(|formula| projection((formula.name, formula.sql)));
        measure(&runtime, &sessions, &formulas.collect::<Vec<_>>(), 2.5);
        measure(&runtime, &sessions, &MIXED_EXPRESSIONS.map(projection), 2.0);
        measure(&runtime, &sessions, &QUERIES.map(|(name, query)| (name, query.to_owned())), 2.0);
    }
    small_queries(&batch.slice(0, 1000));
}

/// Measures queries, and prints the geometric mean of the ratios beside the goal for it.
fn measure(runtime: &Runtime, sessions: &[Session; 2], queries: &[(&str, String)], goal: f64) {
    let mut ratios = Vec::new();
    for (name, query) in queries {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..=REPEATS {
            for (session, times) in sessions.iter().zip(&mut times) {
                times.push(time(runtime, session, query));
            }
        }
        // The first run of each is a warm-up.
        let [unfused, fused] = times.map(|times| median(times[1..].to_vec()));
        let ratio = unfused.as_secs_f64() / fused.as_secs_f64();
        println!("{name:<16} {:>9.1} {:>9.1} {ratio:>7.2}", ms(unfused), ms(fused));
        ratios.push(ratio);
    }
    let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    println!("geometric mean {mean:.2} (goal >= {goal}), least {least:.2} (goal >= 0.95)\n");
}

/// What fusion adds to the time of queries over few rows: planning and compilation.
fn small_queries(batch: &RecordBatch) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let bare = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let fused = Session::builder().threads(NonZeroUsize::MIN).build().unwrap();
    for context in [&bare, fused.context()] {
        context.register_batch("t", batch.clone()).unwrap();
    }
    println!(
        "1000 rows, 1 thread: microseconds, medians, of bare DataFusion and of warpframe (goal: at most 100 more)"
    );
    for (name, query) in &QUERIES {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..200 {
            for (context, times) in [&bare, fused.context()].into_iter().zip(&mut times) {
                let start = Instant::now();
                runtime.block_on(async {
                    let frame = context.sql(query).await.unwrap();
                    tokio::spawn(frame.collect()).await.unwrap().unwrap();
                });
                times.push(start.elapsed());
            }
        }
        let [bare, fused] = times.map(|times| ms(median(times)) * 1e3);
        println!("{name:<16} {bare:>9.0} {fused:>9.0} {:>+7.0}", fused - bare);
    }
}

fn rows() -> RecordBatch {
    let number = |seed: usize, row: usize| (row * 7919 + seed * 104_729) % 1_000_003 + 1;
    let float = |seed: usize| (0..ROWS).map(move |row| number(seed, row) as f64 / 10_000.03);
    let integer = |seed: usize, limit: usize| (0..ROWS).map(move |row| (number(seed, row) % limit) as i32);
    let columns: [(&str, ArrayRef); 8] = [
        ("x", Arc::new(Float64Array::from_iter_values(float(1)))),
        ("y", Arc::new(Float64Array::from_iter_values(float(2)))),
        ("z", Arc::new(Float64Array::from_iter_values(float(3)))),
        ("r", Arc::new(Float32Array::from_iter_values(float(4).map(|x| x as f32)))),
        ("i", Arc::new(Int64Array::from_iter_values((0..ROWS as i64).map(|row| row * 3)))),
        ("k", Arc::new(Int32Array::from_iter_values(integer(5, 100)))),
        ("d", Arc::new(Date32Array::from_iter_values(integer(6, 20_000)))),
        ("e", Arc::new(Date32Array::from_iter_values(integer(7, 20_000)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn session(batch: &RecordBatch, threads: NonZeroUsize, fuse: bool) -> Session {
    common::session(Session::builder().threads(threads).fuse(fuse), batch, threads.get())
}

fn time(runtime: &Runtime, session: &Session, query: &str) -> Duration {
    let start = Instant::now();
    let batches = runtime.block_on(async {
        // Spawned, so that it runs on the runtime's worker threads instead of the thread of `block_on`.
        let query = session.sql(query).await.unwrap();
        tokio::spawn(query.collect_partitioned()).await.unwrap().unwrap()
    });
    let elapsed = start.elapsed();
    drop(batches);
    elapsed
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
