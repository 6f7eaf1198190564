//! The 22 queries of TPC-H in a session of DataFusion and in one of ours, alternating in one process. The ratios are the
//! result; absolute times depend on the machine. Every pair of answers is compared before times are taken.
//!
//! `cargo bench --bench tpch -- FOLDER [REPEATS]`, with a folder of Parquet files from
//! `pip install tpchgen-cli && tpchgen-cli parquet --scale-factor 1 --output-dir FOLDER`

mod queries;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;
use queries::{QUERIES, TABLES, difference, sessions};
use tokio::runtime::Runtime;
use warpframe::planner::for_each_fused_function;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // cargo adds `--bench`.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let repeats = arguments.get(1).map_or(Ok(9), |repeats| repeats.parse());
    let (Some(folder), Ok(repeats @ 1..)) = (arguments.first(), repeats) else {
        eprintln!(
            "usage: cargo bench --bench tpch -- FOLDER [REPEATS]\n\
             FOLDER has the tables as Parquet files. To make it, about 350 MB with scale factor 1:\n\
             pip install tpchgen-cli && tpchgen-cli parquet --scale-factor 1 --output-dir FOLDER"
        );
        return ExitCode::from(2);
    };
    let folder = Path::new(folder);
    if let Some(missing) = TABLES.iter().find(|table| !folder.join(format!("{table}.parquet")).is_file()) {
        eprintln!("{} has no {missing}.parquet", folder.display());
        return ExitCode::FAILURE;
    }
    let runtime = Runtime::new().unwrap();
    match compare(&runtime, folder, repeats) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", error.strip_backtrace());
            ExitCode::FAILURE
        }
    }
}

/// Prints the times of all queries. Returns whether all answers are the same.
fn compare(runtime: &Runtime, folder: &Path, repeats: usize) -> Result<bool> {
    let (bare, ours) = runtime.block_on(sessions(folder))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{}, {threads} threads: milliseconds, medians of {repeats}", folder.display());
    println!("{:<6} {:>10} {:>10} {:>7} {:>6}", "query", "DataFusion", "warpframe", "ratio", "fused");
    let mut ratios = Vec::new();
    let mut all_same = true;
    for (number, (query, ordered)) in (1..).zip(QUERIES) {
        // The first run of each is a warm-up.
        let answers = [run(runtime, &bare, query)?.1, run(runtime, ours.context(), query)?.1];
        if let Some(why) = difference(&answers[0], &answers[1], ordered) {
            println!("q{number:<5} the answers differ: {why}");
            all_same = false;
            continue;
        }
        let mut times = [Vec::new(), Vec::new()];
        for repeat in 0..repeats {
            for turn in 0..2 {
                // Which one begins alternates too.
                let which = (repeat + turn) % 2;
                let context = [&bare, ours.context()][which];
                times[which].push(run(runtime, context, query)?.0);
            }
        }
        let [theirs, our] = times.map(median);
        let ratio = our.as_secs_f64() / theirs.as_secs_f64();
        let fused = fused(runtime, ours.context(), query)?;
        println!("q{number:<5} {:>10.1} {:>10.1} {ratio:>7.3} {fused:>6}", ms(theirs), ms(our));
        ratios.push(ratio);
    }
    if !ratios.is_empty() {
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        println!("geometric mean of warpframe's time over DataFusion's: {mean:.3}");
    }
    Ok(all_same)
}

/// Plans and runs a query.
fn run(runtime: &Runtime, context: &SessionContext, query: &str) -> Result<(Duration, Vec<RecordBatch>)> {
    let start = Instant::now();
    let batches = runtime.block_on(async {
        let query = context.sql(query).await?;
        // Spawned, so that it runs on the runtime's worker threads instead of the thread of `block_on`.
        tokio::spawn(query.collect()).await.unwrap()
    })?;
    Ok((start.elapsed(), batches))
}

/// The number of fused expressions in the plan of a query.
fn fused(runtime: &Runtime, context: &SessionContext, query: &str) -> Result<usize> {
    let plan = runtime.block_on(async { context.sql(query).await?.create_physical_plan().await })?;
    let mut count = 0;
    for_each_fused_function(&plan, |_| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
