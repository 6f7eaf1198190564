//! The commit protocol of outputs in object stores at every request at which a client can end, or which fails, in process
//! with a store in memory. After each, readers see the old output or the new one, and the next run succeeds and leaves nothing else. Also two
//! runs to one output, one of them held at each of its requests.

mod faulting_store;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use faulting_store::{Client, Fault};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;
use warpframe_io::{OutputMode, Staging, runtime_env_builder};

const STORE: &str = "memory://store";

/// An output that is written, and how.
#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    output: &'static str,
    exists: bool,
    mode: OutputMode,
    /// Whether the files are those of task attempts.
    attempts: bool,
}

const CASES: [Case; 8] = [
    case("new object", "out.csv", false, OutputMode::Create),
    case("new prefix", "out", false, OutputMode::Create),
    case("overwritten object", "out.csv", true, OutputMode::Replace),
    case("overwritten prefix", "out", true, OutputMode::Replace),
    case("extended prefix", "out", true, OutputMode::Append),
    case("new prefix by an addition", "out", false, OutputMode::Append),
    Case { attempts: true, ..case("new prefix from attempts", "out", false, OutputMode::Create) },
    Case { attempts: true, ..case("overwritten prefix from attempts", "out", true, OutputMode::Replace) },
];

const fn case(name: &'static str, output: &'static str, exists: bool, mode: OutputMode) -> Case {
    Case { name, output, exists, mode, attempts: false }
}

fn runtime(client: &Client) -> RuntimeEnv {
    let runtime = runtime_env_builder().build().unwrap();
    runtime.register_object_store(&Url::parse(STORE).unwrap(), Arc::new(client.clone()));
    runtime
}

/// Runs a case: writes the texts `TEXT-0` and `TEXT-1`, the second one into a partition folder, or only the first one if the
/// output is an object.
async fn run(case: &Case, mode: OutputMode, client: &Client, text: &str) -> Result<()> {
    let (runtime, output) = (runtime(client), format!("{STORE}/{}", case.output));
    let output = Path::new(&output);
    if case.output.ends_with(".csv") {
        let staging = Staging::new_file(output, mode == OutputMode::Replace, &runtime).await?;
        std::fs::write(staging.shard_path(0), format!("{text}-0"))?;
        return staging.publish().await;
    }
    let staging = Staging::new_folder(output, mode, "csv", &runtime).await?;
    let names = [staging.part_name(0, "csv"), format!("a=1/{}", staging.part_name(1, "csv"))];
    if case.attempts {
        let attempts = staging.create_attempts().await?;
        // Executors have clients of their own.
        let folder = attempts.path_or_url().to_string_lossy().replace(&format!("{STORE}/"), "");
        let mut files = Vec::new();
        for (number, name) in names.into_iter().enumerate() {
            let attempt = format!("attempt-{number}/part.csv");
            let path = object_store::path::Path::from(format!("{folder}/{attempt}"));
            client.put(&path, format!("{text}-{number}").into()).await?;
            files.push((name, attempt));
        }
        let published = staging.publish_attempts(&attempts, &files).await;
        if let Ok(done) = &published {
            assert!(done, "the files are objects");
        }
        return attempts.finish(published).await.map(|_| ());
    }
    std::fs::create_dir(staging.data().join("a=1"))?;
    for (number, name) in names.iter().enumerate() {
        std::fs::write(staging.data().join(name), format!("{text}-{number}"))?;
    }
    staging.publish().await
}

/// The texts that a reader sees below a prefix, or in an object.
async fn read(case: &Case, store: &Arc<InMemory>) -> BTreeSet<String> {
    let runtime = runtime(&Client::new(store, Fault::Never, false));
    let url = datafusion::execution::object_store::ObjectStoreUrl::parse(STORE).unwrap();
    let store = runtime.object_store(&url).unwrap();
    let path = object_store::path::Path::from(case.output);
    let found = match case.output.ends_with(".csv") {
        true => store.head(&path).await.into_iter().map(|object| object.location).collect(),
        false => {
            let listed: Vec<_> = store.list(Some(&path)).try_collect().await.unwrap();
            listed.into_iter().map(|object| object.location).collect::<Vec<_>>()
        }
    };
    let mut texts = BTreeSet::new();
    for object in found {
        let bytes = store.get(&object).await.unwrap().bytes().await.unwrap();
        texts.insert(String::from_utf8(bytes.to_vec()).unwrap());
    }
    texts
}

/// The texts of an output that these runs have written.
fn texts(case: &Case, runs: &[&str]) -> BTreeSet<String> {
    let parts = if case.output.ends_with(".csv") { 1 } else { 2 };
    runs.iter().flat_map(|run| (0..parts).map(move |part| format!("{run}-{part}"))).collect()
}

/// A store with the old output of a case.
async fn store_of(case: &Case) -> Arc<InMemory> {
    let store = Arc::new(InMemory::new());
    if case.exists {
        let client = Client::new(&store, Fault::Never, false);
        run(&Case { attempts: false, ..*case }, OutputMode::Create, &client, "old").await.unwrap();
    }
    store
}

/// What readers see before and after a case.
fn old_and_new(case: &Case) -> [BTreeSet<String>; 2] {
    let old: &[&str] = if case.exists { &["old"] } else { &[] };
    let new: &[&str] =
        if case.exists && case.mode == OutputMode::Append { &["old", "new"] } else { &["new"] };
    [texts(case, old), texts(case, new)]
}

/// Checks that the store has nothing but the objects of the output.
async fn expect_only(case: &Case, store: &Arc<InMemory>, expected: &BTreeSet<String>, context: &str) {
    assert_eq!(&read(case, store).await, expected, "{context}");
    let objects: Vec<_> = store.list(None).map_ok(|object| object.location).try_collect().await.unwrap();
    assert_eq!(objects.len(), expected.len(), "{context}: {objects:?}");
}

async fn requests_of(case: &Case) -> usize {
    let store = store_of(case).await;
    let client = Client::new(&store, Fault::Never, false);
    run(case, case.mode, &client, "new").await.unwrap();
    expect_only(case, &store, &old_and_new(case)[1], case.name).await;
    client.requests()
}

#[tokio::test]
async fn a_client_that_ends_at_any_request_leaves_the_old_output_or_the_new_one() {
    for case in &CASES {
        let requests = requests_of(case).await;
        let [before, after] = old_and_new(case);
        let (mut old, mut new) = (0, 0);
        for request in 1..=requests {
            // A client that goes on after an error must not make it worse, also if it does not know what the store has done.
            let ending = [Fault::Before(request), Fault::After(request)];
            let failing = [Fault::Fail(request), Fault::Lose(request, 1), Fault::Lose(request, 2)];
            for fault in ending.into_iter().chain(failing) {
                let context = format!("{}, {fault:?}", case.name);
                let store = store_of(case).await;
                let client = Client::new(&store, fault, false);
                let ended = run(case, case.mode, &client, "new").await;
                let seen = read(case, &store).await;
                match &seen {
                    seen if *seen == after => new += 1,
                    seen => {
                        assert_eq!(seen, &before, "{context}");
                        assert!(ended.is_err(), "{context}: a success without an output");
                        old += 1;
                    }
                }
                // The next run, when the claim of the first one has expired.
                let next = Client::new(&store, Fault::Never, true);
                let (mode, expected) = match case.mode {
                    OutputMode::Append => {
                        let next = texts(case, &["next"]);
                        (OutputMode::Append, seen.union(&next).cloned().collect())
                    }
                    _ => (OutputMode::Replace, texts(case, &["next"])),
                };
                let next = run(&Case { attempts: false, ..*case }, mode, &next, "next").await;
                assert!(next.is_ok(), "{context}: {next:?}");
                if case.attempts {
                    // Attempts of killed clients are kept for days; nothing reads them.
                    let attempts = store.list(None).map_ok(|object| object.location);
                    let attempts: Vec<_> = attempts.try_collect().await.unwrap();
                    for object in attempts {
                        if object.as_ref().starts_with(".warpframe-attempts-") {
                            store.delete(&object).await.unwrap();
                        }
                    }
                }
                expect_only(case, &store, &expected, &context).await;
            }
        }
        assert!(old > 0 && new > 0, "{}: {old} old, {new} new", case.name);
        eprintln!("{}: {requests} requests, {} clients, {old} old, {new} new", case.name, old + new);
    }
}

#[tokio::test]
async fn of_two_clients_at_once_to_one_output_one_wins_whole() {
    for case in CASES.iter().filter(|case| !case.attempts) {
        let requests = requests_of(case).await;
        let [before, after] = old_and_new(case);
        let mut refused = 0;
        for request in 1..=requests {
            let context = format!("{} held at request {request}", case.name);
            let store = store_of(case).await;
            let first = Client::new(&store, Fault::Hold(request), false);
            let second = Client::new(&store, Fault::Never, false);
            let running = {
                let (case, first) = (*case, first.clone());
                tokio::spawn(async move { run(&case, case.mode, &first, "new").await })
            };
            first.wait_until_held().await;
            let other = run(case, case.mode, &second, "other").await;
            // A reader meanwhile sees the output of one run, or of none.
            let others = texts(case, &["other"]);
            let seen = read(case, &store).await;
            let is_whole = match case.mode {
                OutputMode::Append => [&before, &after].iter().any(|output| {
                    seen == **output || seen == output.union(&others).cloned().collect::<BTreeSet<_>>()
                }),
                _ => [&before, &after, &others].contains(&&seen),
            };
            assert!(is_whole, "{context}: {seen:?}");
            first.release();
            let first = running.await.unwrap();
            let expected = match (&first, &other) {
                // Additions do not exclude each other.
                (Ok(()), Ok(())) if case.mode == OutputMode::Append => {
                    after.union(&others).cloned().collect()
                }
                (Ok(()), Ok(())) if case.exists => {
                    // One after the other: the one that was claimed last.
                    let seen = read(case, &store).await;
                    assert!(seen == after || seen == others, "{context}: {seen:?}");
                    seen
                }
                (Ok(()), Err(_)) => after.clone(),
                (Err(_), Ok(())) => others.clone(),
                _ => panic!("{context}: {first:?}, {other:?}"),
            };
            for error in [first.err(), other.err()].into_iter().flatten() {
                refused += 1;
                let error = error.to_string();
                assert!(
                    error.contains("exists already") || error.contains("another run is publishing it"),
                    "{context}: {error}"
                );
            }
            expect_only(case, &store, &expected, &context).await;
        }
        assert!(refused > 0 || case.mode == OutputMode::Append, "{}", case.name);
        eprintln!("{}: {requests} interleavings, {refused} with an error", case.name);
    }
}
