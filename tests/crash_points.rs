//! The commit protocol of local outputs at every point at which a process can end: the command is ended at each of its calls
//! that change names or sync files, one after the other. After each, readers see the old output or the new one, and the next
//! run succeeds and leaves nothing else. Also two runs to one output, one of them stopped at each of these points, and what
//! killed processes leave in temporary folders.

#![cfg(target_os = "linux")]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::process::Process;
use common::{command, entries, finish, ok, skipped};
use tempfile::{TempDir, tempdir};

/// The rows of the output before the run, of the run, and of the next one.
const ROWS: [u64; 3] = [10, 20, 30];

/// Signals that the command handles: it ends in order.
const HANDLED: [(&str, i32); 3] = [("INT", 2), ("TERM", 15), ("HUP", 1)];

/// Signals that end the process at once.
const ENDING: [(&str, i32); 1] = [("KILL", 9)];

/// An output that is written, and how.
struct Case {
    name: &'static str,
    output: &'static str,
    exists: bool,
    /// Whether the file system can exchange folders.
    exchange: bool,
}

const CASES: [Case; 5] = [
    Case { name: "new file", output: "out.parquet", exists: false, exchange: true },
    Case { name: "new folder", output: "out", exists: false, exchange: true },
    Case { name: "overwritten file", output: "out.parquet", exists: true, exchange: true },
    Case { name: "overwritten folder", output: "out", exists: true, exchange: true },
    Case { name: "folder overwritten in place", output: "out", exists: true, exchange: false },
];

/// The preloaded library, compiled from `crash_points/shim.c`.
struct Shim {
    library: PathBuf,
    _folder: TempDir,
}

impl Shim {
    fn compile() -> Option<Self> {
        let folder = tempdir().unwrap();
        let library = folder.path().join("shim.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash_points/shim.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .status();
        match compiled {
            Err(error) => {
                skipped(&format!("crash points: cc cannot be run: {error}"));
                None
            }
            Ok(status) => {
                assert!(status.success(), "cc does not compile {source}");
                Some(Self { library, _folder: folder })
            }
        }
    }

    /// The run of a case in a folder.
    fn command(&self, case: &Case, folder: &Path, overwrite: bool) -> Command {
        let mut run = generate(case, folder, ROWS[1], overwrite);
        run.env("LD_PRELOAD", &self.library);
        if !case.exchange {
            run.env("WARPFRAME_NO_EXCHANGE", "1");
        }
        run
    }

    /// The number of points of a case.
    fn points(&self, case: &Case) -> usize {
        let (place, count) = (Place::new(case), tempdir().unwrap());
        let count = count.path().join("count");
        let mut run = self.command(case, place.path(), case.exists);
        let ended = finish(run.env("WARPFRAME_POINTS", &count).output().unwrap());
        assert_eq!(ended.code, Some(0), "{}: {ended:#?}", case.name);
        place.expect_only(case, ROWS[1]);
        std::fs::read_to_string(count).unwrap().parse().unwrap()
    }
}

fn generate(case: &Case, folder: &Path, rows: u64, overwrite: bool) -> Command {
    let mut run = command(folder);
    run.args(["generate", "--rows", &rows.to_string(), "--threads", "1", "--out", case.output]);
    if !case.output.ends_with(".parquet") {
        run.args(["--files", "2"]);
    }
    if overwrite {
        run.arg("--overwrite");
    }
    run.env("TMPDIR", folder).stdout(Stdio::null()).stderr(Stdio::piped());
    run
}

/// A folder with the old output of a case.
struct Place(TempDir);

impl Place {
    fn new(case: &Case) -> Self {
        let place = Self(tempdir().unwrap());
        if case.exists {
            place.run(case, ROWS[0], false);
        }
        place
    }

    /// A folder with the same output, without running the command again.
    fn copy(&self, case: &Case) -> Self {
        let copy = Self(tempdir().unwrap());
        let [from, to] = [self, &copy].map(|place| place.path().join(case.output));
        if from.is_dir() {
            std::fs::create_dir(&to).unwrap();
            for name in entries(&from) {
                std::fs::copy(from.join(&name), to.join(&name)).unwrap();
            }
        } else if from.is_file() {
            std::fs::copy(from, to).unwrap();
        }
        copy
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, case: &Case, rows: u64, overwrite: bool) {
        let ended = finish(generate(case, self.path(), rows, overwrite).output().unwrap());
        assert_eq!(ended.code, Some(0), "{}: {ended:#?}", case.name);
    }

    /// The rows that a reader sees; `None` if there is no output. Fails if they are not the first ones of one run.
    fn rows(&self, case: &Case) -> Option<u64> {
        let output = self.path().join(case.output);
        if !output.exists() {
            return None;
        }
        let mut ids = Vec::new();
        for file in warpframe::io::find_files(&output.to_string_lossy(), "parquet").unwrap() {
            let file = std::fs::File::open(file).unwrap();
            let reader =
                parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            for batch in reader.build().unwrap() {
                let batch = batch.unwrap();
                let column = batch.column_by_name("id").unwrap();
                let column = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(column);
                ids.extend(column.values().iter().map(|id| *id as u64));
            }
        }
        assert_eq!(ids, (0..ids.len() as u64).collect::<Vec<_>>(), "{}: a mixture", case.name);
        Some(ids.len() as u64)
    }

    /// Checks that there is only the output, with these rows and without anything else in it.
    fn expect_only(&self, case: &Case, rows: u64) {
        assert_eq!(self.rows(case), Some(rows), "{}", case.name);
        assert_eq!(entries(self.path()), [case.output], "{}", case.name);
        if !case.output.ends_with(".parquet") {
            let files = entries(&self.path().join(case.output));
            let are_parts = files.iter().all(|file| file.starts_with("part-"));
            assert!(files.len() == 2 && are_parts, "{}: {files:?}", case.name);
        }
    }
}

/// Waits for a process; one that does not end fails the test.
fn wait(mut process: std::process::Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > Duration::from_secs(120) {
            let _ = process.kill();
            panic!("the process does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_process_that_ends_at_any_point_leaves_the_old_output_or_the_new_one() {
    let Some(shim) = Shim::compile() else { return };
    for case in &CASES {
        let points = shim.points(case);
        assert!(points > 0, "{}: the calls of the command are not counted", case.name);
        let (original, mut ended, mut old, mut new) = (Place::new(case), 0, 0, 0);
        for point in 1..=points {
            // The state after a call is the one before the next, except for what is written in between.
            let all = HANDLED.iter().chain(&ENDING).enumerate();
            for (index, (name, signal)) in all {
                let is_kill = *name == "KILL";
                if !is_kill && (point + index) % 4 != 0 {
                    continue;
                }
                for when in 0..2 {
                    if when == 1 && !(is_kill && point % 2 == 0 || point == points) {
                        continue;
                    }
                    let place = original.copy(case);
                    let mut run = shim.command(case, place.path(), case.exists);
                    run.env("WARPFRAME_POINT", format!("{point}:{when}:{signal}")).stderr(Stdio::null());
                    let status = wait(run.spawn().unwrap());
                    let context = format!("{}, {name} at point {point}.{when}", case.name);
                    if is_kill {
                        // After the last call of a thread the process may end first.
                        assert!(status.signal() == Some(9) || point == points, "{context}: {status:?}");
                    }
                    match place.rows(case) {
                        Some(rows) if rows == ROWS[1] => new += 1,
                        rows => {
                            assert_eq!(rows, case.exists.then_some(ROWS[0]), "{context}");
                            assert!(!status.success(), "{context}: a success without an output");
                            old += 1;
                        }
                    }
                    if HANDLED.iter().any(|(handled, _)| handled == name) {
                        assert!(status.code().is_some(), "{context}: {status:?}");
                        let left = entries(place.path()).into_iter().find(|name| name.starts_with('.'));
                        assert_eq!(left, None, "{context}");
                    }
                    place.run(case, ROWS[2], true);
                    place.expect_only(case, ROWS[2]);
                    ended += 1;
                }
            }
        }
        assert!(old > 0 && new > 0, "{}: {old} times the old output, {new} times the new one", case.name);
        eprintln!("{}: {points} points, {ended} processes ended, {old} old, {new} new", case.name);
    }
}

#[test]
fn of_two_runs_at_once_to_one_output_one_wins_whole() {
    let Some(shim) = Shim::compile() else { return };
    for case in &CASES {
        let (original, points, mut refused, mut both) = (Place::new(case), shim.points(case), 0, 0);
        for point in 1..=points {
            let place = original.copy(case);
            let mut first = shim.command(case, place.path(), case.exists);
            first.env("WARPFRAME_POINT", format!("{point}:0:19"));
            let mut first = first.spawn().unwrap();
            // Until it is stopped, or has ended without reaching the point.
            let stopped = wait_until_stopped(&mut first);
            let second = finish(generate(case, place.path(), ROWS[2], case.exists).output().unwrap());
            if stopped {
                let id = first.id().to_string();
                assert!(Command::new("kill").args(["-CONT", &id]).status().unwrap().success());
            }
            let first = finish(first.wait_with_output().unwrap());
            let context = format!("{} at point {point}: {first:#?} {second:#?}", case.name);
            let expected = match (first.code, second.code) {
                (Some(0), Some(1)) => ROWS[1],
                (Some(1), Some(0)) => ROWS[2],
                // One after the other, which is possible only where outputs are replaced.
                (Some(0), Some(0)) if case.exists => {
                    both += 1;
                    let rows = place.rows(case);
                    assert!(rows == Some(ROWS[1]) || rows == Some(ROWS[2]), "{context}");
                    place.expect_only(case, rows.unwrap());
                    continue;
                }
                _ => panic!("{context}"),
            };
            refused += 1;
            for run in [&first, &second].into_iter().filter(|run| run.code == Some(1)) {
                let is_clear = ["another run is writing it", "exists already"]
                    .iter()
                    .any(|words| run.stderr.contains(words));
                assert!(is_clear, "{context}");
            }
            place.expect_only(case, expected);
        }
        assert!(refused > 0, "{}", case.name);
        eprintln!(
            "{}: {points} interleavings, {refused} with an error, {both} one after the other",
            case.name
        );
    }
}

/// Waits until a process is stopped by a signal; returns false if it has ended instead.
fn wait_until_stopped(process: &mut std::process::Child) -> bool {
    let start = Instant::now();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if state == Some('T') {
            return true;
        }
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "the process neither stops nor ends");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn leftovers_are_swept_but_not_those_of_running_processes() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    // A run that waits for its input, a pipe, keeps its folder and its lock.
    let Some(shim) = Shim::compile() else { return };
    let case = &CASES[1];
    let mut running = generate(case, at, ROWS[1], false);
    running.env("LD_PRELOAD", &shim.library).env("WARPFRAME_POINT", "5:0:19");
    let mut running = running.spawn().unwrap();
    assert!(wait_until_stopped(&mut running));
    let held = entries(at);
    assert!(held.iter().any(|name| name == ".warpframe-out.lock") && held.len() == 2, "{held:?}");
    // Other names are not touched.
    for name in [".warpframe-mine", "warpframe-data", ".warpframe-00000000000000000000000000000000x"] {
        std::fs::create_dir(at.join(name)).unwrap();
    }
    std::fs::write(at.join(".warpframe-11111111111111111111111111111111"), "a file").unwrap();
    let others = entries(at);
    ok(at, &["generate", "--rows", "1", "--out", "other.parquet"]);
    let expected: std::collections::BTreeSet<_> =
        others.into_iter().chain(["other.parquet".to_owned()]).collect();
    assert_eq!(entries(at), expected.into_iter().collect::<Vec<_>>());
    running.kill().unwrap();
    running.wait().unwrap();
    ok(at, &["generate", "--rows", "1", "--out", "other.parquet", "--overwrite"]);
    let left = entries(at);
    assert!(held.iter().all(|name| !left.contains(name)), "{left:?}");
    assert_eq!(left.len(), 5, "{left:?}");
}

#[test]
fn a_cluster_removes_the_folders_and_tokens_of_killed_ones() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for name in ["tmp", "runtime"] {
        std::fs::create_dir(at.join(name)).unwrap();
    }
    let start = || {
        let mut local = command(at);
        local.args(["cluster", "local", "--executors", "1", "--slots", "1", "--port", "0"]);
        local.env("TMPDIR", at.join("tmp")).env("XDG_RUNTIME_DIR", at.join("runtime"));
        let mut local = Process::spawn(&mut local);
        assert!(local.first_line().starts_with("df://"));
        local
    };
    let own = || {
        let folders =
            entries(&at.join("tmp")).into_iter().filter(|name| name.starts_with("warpframe-cluster-"));
        let tokens = entries(&at.join("runtime/warpframe/clusters"));
        (
            folders.collect::<Vec<_>>(),
            tokens.into_iter().filter(|name| name.ends_with(".token")).collect::<Vec<_>>(),
        )
    };
    let killed = start();
    let (killed_folders, killed_tokens) = own();
    assert!(killed_folders.len() == 1 && !killed_tokens.is_empty());
    let running = start();
    let (folders, tokens) = own();
    // Nothing of a running cluster is removed.
    assert!(folders.len() == 2 && tokens.len() == 2 * killed_tokens.len(), "{folders:?} {tokens:?}");
    killed.signal("KILL");
    drop(killed);
    assert_eq!(own(), (folders, tokens));
    let last = start();
    let (folders, tokens) = own();
    assert!(folders.len() == 2 && !folders.contains(&killed_folders[0]), "{folders:?}");
    assert!(tokens.len() == 2 * killed_tokens.len() && !tokens.contains(&killed_tokens[0]), "{tokens:?}");
    for cluster in [running, last] {
        cluster.signal("INT");
        assert_eq!(cluster.wait(Duration::from_secs(60)).code, Some(130));
    }
    assert_eq!(own(), (Vec::new(), Vec::new()));
}

#[test]
fn mount_points_are_overwritten_in_place() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    for name in ["tmpfs", "bound", "source"] {
        std::fs::create_dir(at.join(name)).unwrap();
    }
    // The mounts are those of a namespace, and end with it.
    let mounts = "mount -t tmpfs tmpfs tmpfs && mount --bind source bound";
    let in_namespace = |script: &str| {
        let mut shell = Command::new("unshare");
        shell
            .args(["--user", "--map-root-user", "--mount", "sh", "-e", "-c"])
            .arg(format!("{mounts}; {script}"));
        finish(shell.arg(command(at).get_program()).current_dir(at).output().unwrap())
    };
    let probe = in_namespace("true");
    if probe.code != Some(0) {
        return skipped(&format!("mount points: file systems cannot be mounted: {}", probe.stderr.trim()));
    }
    for place in ["tmpfs", "bound"] {
        let generate = format!("\"$0\" generate --files 2 --overwrite --out {place} --rows");
        let count = format!("\"$0\" sql --format csv --table t={place} -q 'SELECT count(*) AS n FROM t'");
        let run = in_namespace(&format!("{generate} 10; {generate} 20; {count}; ls -A {place}; ls -A"));
        assert_eq!(run.code, Some(0), "{run:#?}");
        let lines: Vec<_> = run.stdout.lines().collect();
        assert_eq!(lines[..2], ["n", "20"], "{run:#?}");
        assert!(lines[2..4].iter().all(|name| name.starts_with("part-")), "{run:#?}");
        assert_eq!(lines[4..], ["bound", "source", "tmpfs"], "{run:#?}");
    }
}
