//! The pager of the shell, on a pseudo-terminal.

use std::path::Path;
use std::time::Duration;

use tempfile::tempdir;

use crate::common::command;
use crate::common::pty::Terminal;

const PROMPT: &str = "warpframe> ";

/// A shell with this PAGER, which it uses.
fn paged_shell(home: &Path, pager: &str) -> Terminal {
    let mut command = command(home);
    command.arg("sql").env("HOME", home).env("NO_COLOR", "1").env("PAGER", pager);
    command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
    let mut shell = Terminal::start(command, 40, 100);
    shell.expect(PROMPT);
    shell.send("\\pager\r");
    shell.expect("results are shown by");
    shell.expect(PROMPT);
    shell
}

#[test]
fn the_terminal_belongs_to_the_pager_until_it_ends() {
    let home = tempdir().unwrap();
    // As less does: it shows a part, reads keys, and Ctrl-C does not end it.
    let pager =
        "trap '' INT; head -n 4 > shown.txt; echo READY; read key < /dev/tty; echo key=$key; cat > rest.txt";
    let mut shell = paged_shell(home.path(), pager);
    shell.send("select id from generate_rows(100000) order by id;\r");
    shell.expect("READY");
    shell.send("\x03");
    // Longer than a statement has to notice a signal.
    std::thread::sleep(Duration::from_millis(2500));
    let output = shell.output();
    let after = &output[output.rfind("READY").unwrap()..];
    assert!(!after.contains(PROMPT) && !after.contains("does not end"), "{after}");
    shell.send("q\r");
    shell.expect("key=q");
    shell.expect(PROMPT);
    let shown = std::fs::read_to_string(home.path().join("shown.txt")).unwrap();
    assert!(shown.contains("|     0 |"), "{shown}");
    // The next one is a new process.
    shell.send("select 1000 + 1 as a;\r");
    shell.expect("READY");
    shell.send("q\r");
    shell.expect("key=q");
    shell.expect(PROMPT);
    shell.send("\\pager off\r");
    shell.expect(PROMPT);
    shell.send("select 1000 + 2 as a;\r");
    shell.expect("| 1002 |");
    shell.expect(PROMPT);
}

#[test]
fn a_pager_that_shows_nothing_is_an_error() {
    let home = tempdir().unwrap();
    let mut shell = paged_shell(home.path(), "there-is-no-such-pager");
    shell.send("select 1 as a;\r");
    shell.expect("the pager 'there-is-no-such-pager' has failed (exit status: 127)");
    shell.expect("\\pager off");
    shell.expect(PROMPT);
    // Errors of the query come first.
    let mut shell = paged_shell(home.path(), "cat; exit 3");
    shell.send("select sqrt(x - 10) as a from generate_rows(3);\r");
    shell.expect("negative");
    shell.expect(PROMPT);
    shell.send("select 1000 + 1 as a;\r");
    shell.expect("| 1001 |");
    shell.expect("has failed (exit status: 3)");
    shell.expect(PROMPT);
    // Quitting before the last row is none.
    let mut shell = paged_shell(home.path(), "head -n 4");
    shell.send("select id + 5000 as a from generate_rows(100000) order by id;\r");
    shell.expect("|   5000 |");
    let after = shell.expect(PROMPT);
    assert!(!after.contains("error"), "{after}");
    // An empty variable is as good as none.
    let mut command = command(home.path());
    command.arg("sql").env("HOME", home.path()).env("PAGER", " ");
    let mut shell = Terminal::start(command, 40, 100);
    shell.expect(PROMPT);
    shell.send("\\pager\r");
    shell.expect("results are shown by 'less -S'");
}

#[test]
fn progress_is_not_drawn_over_the_pager() {
    let home = tempdir().unwrap();
    let mut shell = paged_shell(home.path(), "cat");
    shell.send("select count(distinct x * y) + 0 as n from generate_rows(3000000);\r");
    shell.expect("| 3000000 |");
    shell.expect(PROMPT);
    assert!(!shell.output().contains("rows read"), "{}", shell.output());
}
