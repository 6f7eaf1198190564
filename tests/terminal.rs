//! Control characters in data do not reach a terminal; files get them as they are.

mod common;

use common::{ok, warpframe};
use tempfile::tempdir;

/// Erases the screen, ends the window title, returns to the start of the line and reverses the direction of writing.
const HOSTILE: &str = "\u{1b}[2J\u{9c}\u{7}a\rb\tc\u{202e}d\u{7f}";
const SHOWN: &str = "\\u{1b}[2J\\u{9c}\\u{7}a\\rb\\tc\\u{202e}d\\u{7f}";

fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn tables_and_messages_escape_control_characters() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), format!("\"{HOSTILE}\",n\n\"{HOSTILE}\",1\n")).unwrap();
    let sql = |query: &str, format: &str| {
        ok(folder.path(), &["sql", "--table", "t=t.csv", "--format", format, "-q", query])
    };
    for query in ["SELECT * FROM t", "DESCRIBE t", "EXPLAIN FORMAT INDENT SELECT * FROM t"] {
        let table = sql(query, "table").stdout;
        assert!(is_plain(&table), "{table:?}");
        assert!(table.contains(SHOWN), "{table}");
    }
    let rows = sql("SELECT * FROM t", "table").stdout;
    assert_eq!(rows.matches(SHOWN).count(), 2, "{rows}");
    let widths: Vec<_> = rows.lines().map(|line| line.chars().count()).collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{rows}");

    let wrong = warpframe(
        folder.path(),
        &["sql", "--table", "t=t.csv", "-q", &format!("SELECT CAST(\"{HOSTILE}\" AS INT) FROM t")],
    );
    assert_eq!(wrong.code, Some(1));
    assert!(is_plain(&wrong.stderr) && wrong.stderr.contains("\\u{1b}[2J"), "{wrong:?}");
    let missing = warpframe(folder.path(), &["sql", "--table", "t=t.csv", "-q", "SELECT nothing FROM t"]);
    assert!(is_plain(&missing.stderr) && missing.stderr.contains("\\u{1b}[2J"), "{missing:?}");
}

#[test]
fn csv_and_ndjson_are_exact() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), format!("a\n\"{HOSTILE}\"\n")).unwrap();
    let sql = |format: &str| {
        let query = "SELECT a, a || chr(10) || a AS lines FROM t";
        ok(folder.path(), &["sql", "--table", "t=t.csv", "--format", format, "-q", query]).stdout
    };
    assert_eq!(sql("csv"), format!("a,lines\n\"{HOSTILE}\",\"{HOSTILE}\n{HOSTILE}\"\n"));
    let row: serde_json::Value = serde_json::from_str(&sql("ndjson")).unwrap();
    assert_eq!(row["a"], HOSTILE);
    assert_eq!(row["lines"], format!("{HOSTILE}\n{HOSTILE}"));
    // A value with several lines has several lines in a table.
    assert_eq!(sql("table").lines().count(), 6, "{}", sql("table"));
}
