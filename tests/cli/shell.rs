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
    shell.expect(PROMPT);
    // An apostrophe in a comment begins no text.
    shell.send("select 1000 + 1 as a -- it's\r");
    shell.expect("...> ");
    shell.send("from generate_r\t1);\r");
    shell.expect("| 1001 |");
    shell.expect(PROMPT);
    shell.send("create view v as select 1000 + 2 as \"My Col\";\r");
    shell.expect(PROMPT);
    shell.send("from v select \"My\t;\r");
    shell.expect("|   1002 |");
    shell.expect(PROMPT);
    std::fs::write(home.path().join("yaks.sql"), "select 1000 + 3 as a;").unwrap();
    shell.send("\\i ya\t\r");
    shell.expect("| 1003 |");
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
    assert!(!second.output().contains("1 row"), "{}", second.output());
    assert!(first.output().contains("1 row ("), "{}", first.output());
}

#[test]
fn lines_that_arrive_together_run_one_after_the_other() {
    let home = tempdir().unwrap();
    let mut shell = shell(home.path(), &[]);
    shell.send("select 1000 + 1 as a;\rselect 1000 + 2 as a;\rselect\r 1000 + 3\r as a;\r");
    for sum in ["| 1001 |", "| 1002 |", "| 1003 |"] {
        shell.expect(sum);
    }
    shell.expect(PROMPT);
    // What is typed while a query runs waits for its end.
    shell.send("select count(distinct x * y) as n from generate_rows(500000);\r");
    // Line editing has ended.
    shell.expect("generate_rows(500000);");
    shell.expect("\x1b[?2004l");
    shell.send("select 1000 + 4 as a;\rselect 1000 + 5 as a;\rquit\r");
    for sum in ["| 500000 |", "| 1004 |", "| 1005 |"] {
        shell.expect(sum);
    }
    assert!(shell.wait().success());
}

#[test]
fn a_text_between_dollar_signs_has_several_lines() {
    let home = tempdir().unwrap();
    let mut shell = shell(home.path(), &[]);
    shell.send("select $$one; it's\r");
    shell.expect("...> ");
    shell.send("two;$$ as t;\r");
    shell.expect("| one; it's |");
    shell.expect("| two;      |");
    shell.expect(PROMPT);
}

#[test]
fn words_have_colors_unless_the_user_wants_none() {
    let home = tempdir().unwrap();
    for (variable, colored) in [("CLICOLOR", true), ("NO_COLOR", false)] {
        let mut command = command(home.path());
        command.arg("sql").env("HOME", home.path()).env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR");
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME").env(variable, "1");
        let mut shell = Terminal::start(command, 40, 100);
        shell.expect(PROMPT);
        shell.send("select 'green' as a;\r");
        shell.expect("1 row (");
        let output = shell.output();
        assert_eq!(output.contains("\x1b[34m\x1b[1mselect\x1b[0m"), colored, "{output:?}");
        assert_eq!(output.contains("\x1b[32m'green'\x1b[0m"), colored, "{output:?}");
    }
}

#[test]
fn the_file_of_the_next_result_waits_for_a_result() {
    let home = tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(home.path().join(name)).unwrap();
    let mut shell = shell(home.path(), &[]);
    shell.send("\\o a.csv\r");
    for (line, shown) in [
        ("select nosuch;", "nosuch"),
        ("create view v as select 1000 + 5 as five;", "the next result goes to a.csv"),
        ("\\d", "| v          | VIEW       |"),
        ("\\dt", "| v          | VIEW       |"),
        (
            "set datafusion.execution.batch_size = 100; select five from v; select 1000 + 6 as six;",
            "1 row in a.csv",
        ),
    ] {
        shell.expect(PROMPT);
        shell.send(&format!("{line}\r"));
        shell.expect(shown);
    }
    // Only one result goes to the file.
    shell.expect("| 1006 |");
    assert_eq!(read("a.csv"), "five\n1005\n");
    // A file that exists is refused, and another one can be named.
    for (line, shown) in [
        ("\\o a.csv", ""),
        ("select 1 as a;", "exists already"),
        ("\\o", ""),
        ("select 1000 + 7 as a;", "| 1007 |"),
        ("\\o ~/b.csv", ""),
        ("select 8 as a;", "1 row in "),
        ("\\o nothing", ""),
        ("select 9 as a;", "\\mode in the shell"),
        ("\\o", ""),
        ("\\mode parquet", ""),
        ("select 9 as a;", "\\o FILE"),
        ("\\o d.csv", ""),
        ("select 9 as a;", "1 row in d.csv"),
        ("\\h", "\\maxrows"),
        ("quit", ""),
    ] {
        shell.expect(PROMPT);
        shell.send(&format!("{line}\r"));
        shell.expect(shown);
    }
    assert!(shell.wait().success());
    assert_eq!(read("b.csv"), "a\n8\n");
    assert_eq!(read("d.csv"), "a\n9\n");
}

#[test]
fn the_expanded_format_and_limits_of_rows_apply_to_all_formats_of_people() {
    let home = tempdir().unwrap();
    let mut shell = shell(home.path(), &[]);
    for (line, shown) in [
        ("\\mode csv", ""),
        ("\\x", "the format is line"),
        ("\\x", "the format is csv"),
        ("\\x", "the format is line"),
        // Plans stay whole.
        ("explain analyze select 1 as a;", "| Query (elapsed time)"),
        ("explain select 1 as a;", "| physical_plan | ┌"),
        ("\\mode markdown", ""),
        ("\\maxrows 4", ""),
        (
            "select id from generate_rows(9) order by id;",
            "|  7 |\r\n|  8 |\r\n\r\n9 rows, the first 2 and the last 2 shown",
        ),
    ] {
        shell.send(&format!("{line}\r"));
        shell.expect(shown);
        shell.expect(PROMPT);
    }
}
