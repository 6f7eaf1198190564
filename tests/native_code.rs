//! Native code in sessions: it stays as long as a query runs it, and no longer than the cache of its session keeps it.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod common;

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use common::skipped;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::sync::{Mutex, MutexGuard};
use warpframe::Session;
use warpframe::backends::Backends;
use warpframe::cpu::SimdPath;

/// Tests count the executable pages of the process, so one runs at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

fn has_native_code() -> bool {
    matches!(SimdPath::active(), Ok(SimdPath::Avx2 | SimdPath::Avx512))
}

/// A session whose backends, and their code, are its own.
fn session(backend: &str) -> Session {
    Session::builder()
        .backends(Backends::default())
        .backend(backend)
        .threads(NonZeroUsize::MIN.saturating_add(1))
        .build()
        .unwrap()
}

/// A query whose expression no other number gives.
fn query(number: usize, rows: usize) -> String {
    format!("SELECT exp(x / {number}e7) * y + sqrt(z) AS r FROM generate_rows({rows})")
}

/// The bytes of executable memory that is of no file.
fn executable_bytes() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mapping = |line: &str| {
        let mut fields = line.split_whitespace();
        let (range, access, path) = (fields.next()?, fields.next()?, fields.nth(3));
        let (start, end) = range.split_once('-')?;
        let address = |text: &str| usize::from_str_radix(text, 16).ok();
        (access == "r-xp" && path.is_none()).then_some(address(end)? - address(start)?)
    };
    maps.lines().filter_map(mapping).sum()
}

/// Waits until the process has no more executable memory than this: queries that were dropped end in the background.
fn wait_for_at_most(bytes: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while executable_bytes() > bytes {
        assert!(
            Instant::now() < deadline,
            "{} bytes of code stay, at most {bytes} should",
            executable_bytes()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn stream(session: &Session, query: &str) -> SendableRecordBatchStream {
    session.sql(query).await.unwrap().execute_stream().await.unwrap()
}

/// The bits of the numbers in a batch, in order.
fn bits(batch: &RecordBatch) -> Vec<u64> {
    batch.column(0).as_primitive::<Float64Type>().values().iter().map(|number| number.to_bits()).collect()
}

async fn rest(mut stream: SendableRecordBatchStream) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some(batch) = stream.next().await {
        all.extend(bits(&batch.unwrap()));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_cache_keeps_the_code_of_running_queries_and_unmaps_the_rest() {
    let _alone = alone().await;
    if !has_native_code() {
        return skipped("there is no native code for this CPU");
    }
    let before = executable_bytes();
    let native = session("native");
    let mut running = stream(&native, &query(1, 400_000)).await;
    let mut found = bits(&running.next().await.unwrap().unwrap());
    let plan_others = async |numbers: std::ops::Range<usize>| {
        for number in numbers {
            let planned = native.sql(&query(number, 10)).await.unwrap();
            planned.create_physical_plan().await.unwrap();
        }
        executable_bytes()
    };
    // The cache has 512 kernels.
    let full = plan_others(2..702).await;
    assert!(full > before + 512 * 4096, "from {before} to {full} bytes: there is no code");
    let later = plan_others(702..1402).await;
    assert!(later <= full + full / 20, "the code has grown from {full} to {later} bytes");
    // The code of the running query has left the cache long ago.
    found.extend(rest(running).await);
    let expected = rest(stream(&session("simd"), &query(1, 400_000)).await).await;
    found.sort_unstable();
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    assert!(found == sorted, "results differ after the code has left the cache");
    // It is compiled again.
    let mut again = rest(stream(&native, &query(1, 400_000)).await).await;
    again.sort_unstable();
    assert!(again == sorted, "results differ with code that was compiled again");
    drop(native);
    wait_for_at_most(before);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_queries_and_sessions_leave_no_code() {
    let _alone = alone().await;
    if !has_native_code() {
        return skipped("there is no native code for this CPU");
    }
    let before = executable_bytes();
    let mut highest = before;
    for round in 0..30 {
        let native = session("native");
        let mut streams = Vec::new();
        for number in 0..4 {
            streams.push(stream(&native, &query(1 + number, 300_000)).await);
        }
        highest = highest.max(executable_bytes());
        if round % 2 == 0 {
            // The streams alone keep their code.
            drop(native);
            for stream in &mut streams {
                let batch = stream.next().await.unwrap().unwrap();
                assert!(batch.num_rows() > 0);
            }
            drop(streams);
        } else {
            // While threads still compute the first batches.
            drop(streams);
            drop(native);
        }
    }
    assert!(highest > before, "there was no code");
    wait_for_at_most(before);
}
