//! The interactive shell, on a pseudo-terminal.

use std::path::Path;

use tempfile::tempdir;

use crate::common::pty::Terminal;
use crate::common::{command, entries};

const PROMPT: &str = "warpframe> ";

/// A shell with its files in `home`, without colours.
fn shell(home: &Path, arguments: &[&str]) -> Terminal {
    let mut command = command(home);
    command.arg("sql").args(arguments).env("HOME", home).env("NO_COLOR", "1").env_remove("PAGER");
    command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
    let mut shell = Terminal::start(command, 40, 100);
    shell.expect(PROMPT);
    shell
}

#[test]
fn statements_end_at_their_semicolon() {
    let home = tempdir().unwrap();
    let mut shell = shell(home.path(), &[]);
    shell.send("select 'one; two' as a -- three;\r");
    shell.expect("...> ");
    shell.send(", 4 as b; -- five\r");
    shell.expect("| one; two | 4 |");
    shell.expect("1 row (");
    shell.expect(PROMPT);
    // Ctrl-C cancels the statement, and not the shell.
    shell.send("select\r");
    shell.expect("...> ");
    shell.send("\x03");
    shell.expect(PROMPT);
    shell.send("select 7 as c;\r");
    shell.expect("| 7 |");
    shell.expect(PROMPT);
    shell.send("exit\r");
    assert!(shell.wait().success());
}

#[test]
fn a_table_is_cut_to_the_terminal() {
    let home = tempdir().unwrap();
    let mut shell = shell(home.path(), &[]);
    shell.send("select id, x from generate_rows(1000) order by id;\r");
    let rows = shell.expect("1,000 rows, the first 20 and the last 20 shown (");
    assert_eq!(rows.lines().filter(|line| line.starts_with("| ")).count(), 42, "{rows}");
    assert!(rows.contains("| 999 | 1000.0 |"), "{rows}");
    let columns: Vec<_> = (0..30).map(|column| format!("1234567890123 as c{column}")).collect();
    shell.expect(PROMPT);
    shell.send(&format!("select {};\r", columns.join(", ")));
    let wide = shell.expect("of 30 columns shown (");
    let widest =
        wide.lines().filter(|line| line.starts_with('|')).map(|line| line.trim_end().chars().count());
    assert!(widest.max().is_some_and(|width| width <= 100 && width > 80), "{wide}");
    assert!(wide.contains(" c0 ") && wide.contains(" c29 ") && wide.contains(" … "), "{wide}");
}

#[test]
fn tab_completes_keywords_tables_columns_and_files() {
    let home = tempdir().unwrap();
    std::fs::write(home.path().join("zebras.csv"), "alpha,beta\n1,2\n").unwrap();
    let mut shell = shell(home.path(), &["--table", "zebras.csv"]);
    shell.send("selec\t alph\t as r from zeb\t;\r");
    shell.expect("| r |");
    shell.expect("| 1 |");
    shell.expect(PROMPT);
    shell.send("create external table other stored as csv location 'zeb\t';\r");
    shell.expect(PROMPT);
    shell.send("select beta + 1 as q from other;\r");
    shell.expect("| 3 |");
}

#[test]
fn commands_change_how_results_are_shown() {
    let home = tempdir().unwrap();
    let mut shell = shell(home.path(), &[]);
    shell.send("\\mode csv\r");
    shell.expect(PROMPT);
    shell.send("select 1 as a, 2 as b;\r");
    shell.expect("a,b\r\n1,2\r\n");
    shell.expect(PROMPT);
    shell.send("\\x\r");
    shell.expect(PROMPT);
    shell.send("select 1 as a, 2 as b;\r");
    shell.expect("a = 1\r\nb = 2\r\n");
    shell.expect(PROMPT);
    shell.send("\\o out.parquet\r");
    shell.expect(PROMPT);
    shell.send("select 3 as c;\r");
    shell.expect("1 row in out.parquet");
    shell.expect(PROMPT);
    shell.send("\\o out.parquet\r");
    shell.expect(PROMPT);
    shell.send("select 3 as c;\r");
    shell.expect("exists already");
    shell.expect(PROMPT);
    shell.send("\\mode nothing\r");
    shell.expect("there is no format 'nothing'");
    shell.send("\\df log*\r");
    shell.expect("log3");
    shell.expect(PROMPT);
    shell.send("help\r");
    shell.expect("\\maxrows");
    shell.send("\\nothing\r");
    shell.expect("there is no command \\nothing");
    shell.send("\\q\r");
    assert!(shell.wait().success());
    assert!(entries(home.path()).contains(&"out.parquet".to_owned()));
}

#[test]
fn the_startup_file_runs_and_history_is_kept_by_statement() {
    let home = tempdir().unwrap();
    let folder = home.path().join(".config/warpframe");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("rc.sql"), "create view three as select 3 as n;").unwrap();
    let mut first = shell(home.path(), &[]);
    first.send("select n + 1\r");
    first.expect("...> ");
    first.send("as four from three;\r");
    first.expect("|    4 |");
    first.expect(PROMPT);
    // The history of a shell that is killed is kept, too.
    first.child.kill().unwrap();
    first.wait();
    let mut second = shell(home.path(), &["--quiet"]);
    second.send("\x1b[A\r");
    second.expect("|    4 |");
    second.expect(PROMPT);
    second.send("\x04");
    assert!(second.wait().success());
    assert!(!second.output().contains("rows ("), "{}", second.output());
}
