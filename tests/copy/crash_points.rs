//! `COPY` into folders, ended at each of its calls that change names or sync files: readers see all of its rows or none, and
//! the next `COPY` leaves nothing else behind.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::tempdir;

use super::common::{command, entries, finish, skipped};

/// The rows of the folder before, and of each `COPY`.
const ROWS: [usize; 2] = [10, 24];

/// A `COPY` of rows into three partition folders, by one thread.
fn copy(folder: &Path, rows: usize) -> Command {
    let copy = format!(
        "COPY (SELECT id, id % 3 AS p FROM generate_rows({rows})) TO 'out/' STORED AS CSV PARTITIONED BY (p)"
    );
    let mut command = command(folder);
    command.args(["sql", "--threads", "1", "-q", &copy]).env("TMPDIR", folder);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The number of rows that readers see.
fn rows(folder: &Path) -> usize {
    let files = warpframe::io::find_files(&folder.join("out").to_string_lossy(), "csv").unwrap_or_default();
    let lines = |file| std::fs::read_to_string(file).unwrap().lines().count() - 1;
    files.into_iter().map(lines).sum()
}

fn succeed(mut copy: Command) {
    let ended = finish(copy.output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[test]
fn a_copy_that_is_killed_at_any_point_adds_all_rows_or_none() {
    let tools = tempdir().unwrap();
    let library = tools.path().join("shim.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crash_points/shim.c");
    let arguments = ["-shared", "-fPIC", source, "-ldl", "-o"];
    match Command::new("cc").args(arguments).arg(&library).status() {
        Err(error) => return skipped(&format!("crash points of COPY: cc cannot be run: {error}")),
        Ok(status) => assert!(status.success(), "cc does not compile {source}"),
    }
    for exists in [false, true] {
        let place = || {
            let folder = tempdir().unwrap();
            if exists {
                succeed(copy(folder.path(), ROWS[0]));
            }
            folder
        };
        let before = if exists { ROWS[0] } else { 0 };
        let (counting, count) = (place(), tools.path().join("count"));
        let mut counted = copy(counting.path(), ROWS[1]);
        counted.env("LD_PRELOAD", &library).env("WARPFRAME_POINTS", &count);
        succeed(counted);
        assert_eq!(rows(counting.path()), before + ROWS[1]);
        let points: usize = std::fs::read_to_string(&count).unwrap().parse().unwrap();
        assert!(points >= 10, "the calls of the command are not counted: {points}");
        let (mut none, mut all) = (0, 0);
        for point in 1..=points {
            let folder = place();
            let folder = folder.path();
            let mut killed = copy(folder, ROWS[1]);
            killed.env("LD_PRELOAD", &library).env("WARPFRAME_POINT", format!("{point}:0:9"));
            let status = killed.stderr(Stdio::null()).status().unwrap();
            assert!(status.signal() == Some(9) || point == points, "point {point}: {status:?}");
            let seen = rows(folder);
            match seen - before {
                0 => none += 1,
                added => {
                    assert_eq!(added, ROWS[1], "point {point}");
                    all += 1;
                }
            }
            succeed(copy(folder, ROWS[1]));
            assert_eq!(rows(folder), seen + ROWS[1], "point {point}");
            assert_eq!(entries(folder), ["out"], "point {point}");
            assert_eq!(entries(&folder.join("out")), ["p=0", "p=1", "p=2"], "point {point}");
        }
        assert!(none > 0 && all > 0, "{none} times no rows, {all} times all");
        eprintln!("COPY, folder exists: {exists}: {points} points, {none} without its rows, {all} with them");
    }
}
