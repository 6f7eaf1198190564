//! The progress of queries, on a pseudo-terminal.

use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::common::command;
use crate::common::pty::Terminal;

/// A query that reads rows for much longer than progress waits.
const LONG: &str = "select count(distinct x * y) as n from generate_rows(400000000)";

/// Starts `sql` with these arguments, interrupts it when its output has what is looked for, and returns the output.
fn run_until(arguments: &[&str], found: impl Fn(&str) -> bool) -> String {
    let folder = tempdir().unwrap();
    let mut command = command(folder.path());
    command.arg("sql").args(arguments).env("NO_COLOR", "1");
    let mut terminal = Terminal::start(command, 40, 100);
    let start = Instant::now();
    while !found(&terminal.output()) {
        assert!(
            terminal.child.try_wait().unwrap().is_none(),
            "{arguments:?} has ended: {}",
            terminal.output()
        );
        assert!(start.elapsed() < Duration::from_secs(60), "{arguments:?}: {}", terminal.output());
        std::thread::sleep(Duration::from_millis(20));
    }
    terminal.signal("INT");
    terminal.wait();
    terminal.output()
}

/// Whether a bar shows that some rows were read.
fn has_moved(output: &str) -> bool {
    output
        .split(" of 400,000,000 rows read")
        .filter_map(|part| part.rsplit(' ').next())
        .any(|rows| rows.replace(',', "").parse::<u64>().is_ok_and(|rows| rows > 0))
}

#[test]
fn the_bar_moves_for_tables_and_for_formats_of_programs() {
    for format in ["table", "csv", "line", "markdown", "json"] {
        run_until(&["--format", format, LONG], has_moved);
    }
}

#[test]
fn the_bar_is_shown_for_files() {
    let rows = "select x * y as p, log3(x, y, z) as r from generate_rows(400000000)";
    for name in ["t.parquet", "t.csv", "t.json", "t.arrow", "t.csv.gz"] {
        run_until(&[rows, "--out", name], has_moved);
    }
}

#[test]
fn a_table_that_is_created_shows_its_time() {
    let is_spinner = |character: char| ('\u{2801}'..='\u{28ff}').contains(&character);
    run_until(&[&format!("create table t as {LONG}")], |output| output.contains(is_spinner));
}

#[test]
fn the_bar_is_gone_before_rows_appear() {
    let query = "select count(distinct x * y) + 0 as n from generate_rows(3000000)";
    for (format, rows) in [("csv", "n\r\n3000000\r\n"), ("table", "| 3000000 |")] {
        let folder = tempdir().unwrap();
        let mut command = command(folder.path());
        command.args(["sql", "--format", format, query]).env("NO_COLOR", "1");
        let mut terminal = Terminal::start(command, 40, 100);
        terminal.expect(rows);
        assert!(terminal.wait().success());
        let output = terminal.output();
        let (before, after) = output.split_at(output.find(rows).unwrap());
        assert!(before.contains("of 3,000,000 rows read"), "{output:?}");
        assert!(!after.contains("read"), "{output:?}");
    }
    // Without a bar.
    let folder = tempdir().unwrap();
    let mut command = command(folder.path());
    command.args(["sql", "--quiet", query]);
    let mut terminal = Terminal::start(command, 40, 100);
    terminal.expect("| 3000000 |");
    assert!(!terminal.output().contains("rows read"), "{}", terminal.output());
}
