//! The fuzz targets of `fuzz/` over mutated seeds, each in a process of its own, whose abort or signal is a failure.
#![cfg(unix)]

mod common;
#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use common::ok;
use common::programs::case;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use tempfile::tempdir;
use warpframe::cluster::ClusterCodec;
use warpframe::ir::Program;
use warpframe::{Execution, install_with};

/// The target that this process is to run.
const TARGET: &str = "WARPFRAME_FUZZ_TARGET";
/// A single input to run.
const INPUT: &str = "WARPFRAME_FUZZ_INPUT";
/// The folder of the seeds and of the present input.
const FOLDER: &str = "WARPFRAME_FUZZ_FOLDER";
/// How long to run each target.
const SECONDS: &str = "WARPFRAME_FUZZ_SECONDS";

/// The address space of a target's process in KiB: an allocation of what a damaged file claims aborts it.
const ADDRESS_SPACE: u32 = 8 << 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs for a minute: cargo test --test fuzz -- --ignored"]
async fn damaged_inputs_are_errors() {
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(20u64);
    let mut failed = Vec::new();
    for target in targets::NAMES {
        let folder = tempdir().unwrap();
        let seeds = match target {
            "plan" => plan_seeds().await,
            "program" => program_seeds(),
            _ => file_seeds(target),
        };
        std::fs::create_dir(folder.path().join("seeds")).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.path().join("seeds").join(number.to_string()), seed).unwrap();
        }
        let script = format!("ulimit -v {ADDRESS_SPACE}; exec \"$0\" \"$@\"");
        let mut child = Command::new("sh");
        child.args(["-c", &script]).arg(std::env::current_exe().unwrap());
        child.args(["--exact", "one_target", "--ignored", "--nocapture"]);
        child.env(TARGET, target).env(FOLDER, folder.path()).env(SECONDS, seconds.to_string());
        let ended = child.env("TMPDIR", folder.path()).env_remove("RUST_BACKTRACE").output().unwrap();
        println!("{target}: {}", String::from_utf8_lossy(&ended.stdout).trim());
        if !ended.status.success() {
            let kept = std::env::temp_dir().join(format!("warpframe-fuzz-{target}"));
            std::fs::copy(folder.path().join("input"), &kept).unwrap();
            let errors = String::from_utf8_lossy(&ended.stderr);
            let last: Vec<_> = errors.lines().rev().take(5).collect();
            failed.push(format!(
                "{target} ended with code {:?} and signal {:?} on '{}': {last:?}",
                ended.status.code(),
                ended.status.signal(),
                kept.display()
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The panics of this process: their number by the place.
static PANICS: LazyLock<Mutex<BTreeMap<String, usize>>> = LazyLock::new(Mutex::default);

/// Runs the target that the environment names over mutated seeds, or over one input.
#[test]
#[ignore = "is run by damaged_inputs_are_errors"]
fn one_target() {
    let Ok(target) = std::env::var(TARGET) else { return };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        *PANICS.lock().unwrap().entry(place.unwrap_or_default()).or_default() += 1;
    }));
    let run = |input: &[u8]| drop(std::panic::catch_unwind(|| targets::run(&target, input)));
    if let Some(input) = std::env::var_os(INPUT) {
        run(&std::fs::read(input).unwrap());
        return;
    }
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let seconds = std::env::var(SECONDS).unwrap().parse().unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(folder.join("seeds")).unwrap().map(|seed| seed.unwrap().path()).collect();
    names.sort();
    let seeds: Vec<_> = names.iter().map(|name| std::fs::read(name).unwrap()).collect();
    let (start, mut random, mut inputs) = (Instant::now(), Random(0x9e37_79b9_7f4a_7c15), 0);
    let mut slowest = Duration::ZERO;
    while start.elapsed() < Duration::from_secs(seconds) {
        let input = mutated(&seeds[inputs % seeds.len()], &mut random);
        // Written first: it is what ended the process, if it does.
        std::fs::write(folder.join("input"), &input).unwrap();
        let before = Instant::now();
        run(&input);
        slowest = slowest.max(before.elapsed());
        inputs += 1;
    }
    println!("{inputs} inputs, the slowest took {slowest:?}");
    for (place, count) in PANICS.lock().unwrap().iter() {
        println!("  {count} panics at {place}");
    }
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// A seed with a few changed, inserted, repeated or missing bytes.
fn mutated(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + random.below(4) {
        if bytes.is_empty() {
            break;
        }
        // Half of the changes are near the end, where files have their footers.
        let window = if random.below(2) == 0 { bytes.len().min(400) } else { bytes.len() };
        let at = bytes.len() - 1 - random.below(window);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => {
                let end = (at + [4, 8][random.below(2)]).min(bytes.len());
                let fill = [0, 0x7f, 0xff][random.below(3)];
                bytes[at..end].fill(fill);
            }
            3 => drop(bytes.drain(at..(at + 1 + random.below(8)).min(bytes.len()))),
            4 => {
                let part = bytes[at..(at + 1 + random.below(16)).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            // Text stays valid.
            5 => {
                let digit = bytes[at..].iter_mut().find(|byte| byte.is_ascii_digit());
                digit.into_iter().for_each(|digit| *digit = b'0' + random.below(10) as u8);
            }
            _ => bytes.insert(at, random.below(256) as u8),
        }
    }
    bytes
}

/// Files with several types, nulls, pages and codecs.
fn file_seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = tempdir().unwrap();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    if target == "parquet_file" {
        for codec in ["none", "snappy", "lz4", "zstd"] {
            let name = format!("{codec}.parquet");
            ok(folder.path(), &["generate", "--rows", "300", "--compression", codec, "--out", &name]);
        }
        let query = "SELECT id, CASE WHEN id % 3 = 0 THEN 'text' || id END AS t, [x, y] AS l, id % 2 = 0 AS b \
            FROM generate_rows(200)";
        ok(folder.path(), &["sql", "-q", query, "--format", "parquet", "--out", "types.parquet"]);
        return ["none", "snappy", "lz4", "zstd", "types"]
            .map(|name| read(&format!("{name}.parquet")))
            .into();
    }
    let query = "COPY (SELECT id, x, CASE WHEN id % 3 = 0 THEN 'text' || id END AS t, [x, y] AS l, id % 2 = 0 AS b, \
        arrow_cast('v' || (id % 4), 'Dictionary(Int32, Utf8)') AS d FROM generate_rows(200)) TO 'f.arrow'";
    ok(folder.path(), &["sql", "--threads", "1", "-q", query]);
    vec![read("f.arrow")]
}

/// Encoded plans as a client sends them.
async fn plan_seeds() -> Vec<Vec<u8>> {
    let folder = tempdir().unwrap();
    ok(folder.path(), &["generate", "--rows", "300", "--out", "t.parquet"]);
    let state = SessionStateBuilder::new().with_default_features();
    let context =
        SessionContext::new_with_state(install_with(state, Default::default(), Execution::Remote).build());
    let file = folder.path().join("t.parquet");
    context.register_parquet("t", file.to_string_lossy(), Default::default()).await.unwrap();
    let mut seeds = Vec::new();
    for query in [
        "SELECT id, log3(x, y, z), sqrt(x * x + 1) * sin(y) FROM t WHERE x > 3",
        "SELECT x, sum(ln(y) * 2), count(*) FROM t GROUP BY x ORDER BY 2 DESC LIMIT 5",
        "SELECT a.id, b.x FROM t a JOIN t b ON a.id = b.id WHERE a.x < b.y",
        "SELECT sum(x) OVER (PARTITION BY id % 7 ORDER BY y) FROM generate_rows(100)",
    ] {
        let plan = context.sql(query).await.unwrap().create_physical_plan().await.unwrap();
        let mut bytes = Vec::new();
        let encoded = PhysicalPlanNode::try_from_physical_plan(plan, &ClusterCodec::default()).unwrap();
        encoded.try_encode(&mut bytes).unwrap();
        seeds.push(bytes);
    }
    seeds
}

/// Serialized programs, of random instructions over all types.
fn program_seeds() -> Vec<Vec<u8>> {
    let mut random = Random(42);
    let mut program = || {
        let decisions: Vec<_> = (0..300).map(|_| random.below(256) as u8).collect();
        serde_json::to_vec(&*case(&decisions).program).unwrap()
    };
    (0..200).map(|_| program()).collect()
}

/// Seeds that a target refuses as they are would test little.
#[tokio::test]
async fn seeds_are_valid() {
    let plans = plan_seeds().await;
    let context = SessionContext::new().task_ctx();
    for plan in plans {
        let plan = PhysicalPlanNode::try_decode(&plan).unwrap();
        plan.try_into_physical_plan(&context, &ClusterCodec::default()).unwrap();
    }
    for program in program_seeds() {
        serde_json::from_slice::<Program>(&program).unwrap();
    }
    for (target, name) in [("parquet_file", "f.parquet"), ("arrow_file", "f.arrow")] {
        for seed in file_seeds(target) {
            let folder = tempdir().unwrap();
            std::fs::write(folder.path().join(name), seed).unwrap();
            rows(folder.path(), name);
        }
    }
}

fn rows(folder: &Path, name: &str) {
    let table = format!("t={name}");
    let counted =
        ok(folder, &["sql", "--table", &table, "--format", "csv", "-q", "SELECT count(*) > 100 AS n FROM t"]);
    assert_eq!(counted.stdout, "n\ntrue\n");
}
