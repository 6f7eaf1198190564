//! A COPY that fails or is interrupted leaves what was there before.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use super::common::process::Process;
use super::common::{command, finish, ok};
use super::formats::FORMATS;
use super::{LIMIT, count_files, tree, visible_files, wait_until};

/// A query that fails after many rows.
const FAILING: &str = "SELECT id % 3 AS p, id, x FROM generate_rows(100000) WHERE sqrt(90000.0 - id) >= 0";

/// Many small files of a folder. The sink of Parquet writes them one after the other, the others all at the end.
const SMALL_FILES: &str = "SET datafusion.execution.soft_max_rows_per_output_file = 20000";

/// The outputs of a test in every format: a file that exists, a new file, a folder that exists, and new folders.
fn outputs(folder: &Path) -> Vec<String> {
    let mut outputs = Vec::new();
    for (format, extension) in FORMATS {
        fs::write(folder.join(format!("old.{extension}")), "old").unwrap();
        fs::create_dir(folder.join(format!("{format}-old"))).unwrap();
        fs::write(folder.join(format!("{format}-old/x.{extension}")), "old").unwrap();
        outputs.extend([
            format!("'old.{extension}' STORED AS {format}"),
            format!("'new.{extension}' STORED AS {format}"),
            format!("'{format}-old/' STORED AS {format}"),
            format!("'{format}-old/' STORED AS {format} PARTITIONED BY (p)"),
            format!("'{format}-new/a/b/' STORED AS {format}"),
            format!("'{format}-new' STORED AS {format} PARTITIONED BY (p)"),
        ]);
    }
    outputs
}

#[test]
fn a_failed_copy_leaves_nothing() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let outputs = outputs(folder);
    let before = tree(folder);
    for output in outputs {
        let copy = format!("{SMALL_FILES}; COPY ({FAILING}) TO {output}");
        let run = finish(command(folder).args(["sql", "-q", &copy]).output().unwrap());
        assert_eq!(run.code, Some(1), "{copy}: {run:#?}");
        assert!(run.stderr.contains("square root of a negative number"), "{copy}: {run:#?}");
        assert_eq!(tree(folder), before, "{copy}");
    }
}

#[test]
fn an_interrupted_copy_leaves_nothing_and_a_killed_one_no_rows() {
    for (signal, code) in [("INT", Some(130)), ("KILL", None)] {
        let folder = tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join("out")).unwrap();
        fs::create_dir(folder.join("tmp")).unwrap();
        ok(folder, &["sql", "-q", "COPY (SELECT 1 AS id) TO 'out/' STORED AS PARQUET"]);
        let before = tree(folder);
        let visible = visible_files(folder);
        let rows = "SELECT id, x FROM generate_rows(50000000)";
        let copy = format!("{SMALL_FILES}; COPY ({rows}) TO 'out/' STORED AS PARQUET");
        let running = Process::start(folder, &["sql", "--threads", "2", "-q", &copy]);
        wait_until("file of the copy", || count_files(folder) > visible.len() + 4);
        running.signal(signal);
        let run = running.wait(LIMIT);
        assert_eq!(run.code, code, "{run:#?}");
        match code {
            Some(_) => assert_eq!(tree(folder), before, "{signal}"),
            None => assert_eq!(visible_files(folder), visible, "{signal}"),
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_nothing_is_left() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let limited = |statements: &str| {
        // Writes beyond the limit are errors, instead of a signal.
        let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" sql -q \"$1\"";
        let program = command(folder).get_program().to_owned();
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(program).arg(statements).current_dir(folder);
        finish(shell.output().unwrap())
    };
    let small = limited("COPY (SELECT 1 AS a) TO 'small.csv'");
    assert_eq!(small.code, Some(0), "{small:#?}");
    let before = tree(folder);
    for (format, extension) in FORMATS {
        for output in [format!("x.{extension}"), "d/".to_owned()] {
            let copy =
                format!("COPY (SELECT id, x FROM generate_rows(100000)) TO '{output}' STORED AS {format}");
            let run = limited(&copy);
            assert_eq!(run.code, Some(1), "{copy}: {run:#?}");
            assert!(run.stderr.starts_with("error: cannot write '"), "{copy}: {run:#?}");
            assert!(run.stderr.contains("File too large"), "{copy}: {run:#?}");
            assert_eq!(tree(folder), before, "{copy}");
        }
    }
}
