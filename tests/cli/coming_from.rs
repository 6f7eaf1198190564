//! The warpframe column of the tables in `docs/coming-from.md`: every cell runs, and has the output that is stated here.

use std::path::Path;
use std::process::Stdio;

use tempfile::{TempDir, tempdir};

use crate::common::{command, entries, finish, ok};

const PAGE: &str = include_str!("../../docs/coming-from.md");

/// The cells of the last column of the table in a section, in order.
fn cells(section: &str) -> Vec<String> {
    let body = PAGE.split(&format!("\n## {section}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = body.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cell = |row: &str| {
        let last = row.trim_end_matches('|').trim_end().rsplit(" | ").next().unwrap().to_owned();
        last.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap().to_owned()
    };
    rows.map(cell).collect()
}

/// A folder with the files that the page names.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "sales.csv",
        "id,region,amount,day\n1,north,10.5,2024-01-01\n2,south,20.0,2024-01-02\n3,north,30.25,2024-01-02\n\
         4,west,,2024-01-03\n",
    );
    write("semi.csv", "id;amount\n1;7.5\n");
    write("more.csv", "id,region,amount,day\n5,east,1.0,2024-01-04\n");
    write("q.sql", "SELECT 42 AS answer;\n");
    write("init.sql", "CREATE FUNCTION tax(a DOUBLE) RETURNS DOUBLE RETURN a * 0.19;\n");
    let copy = "COPY (SELECT * FROM 'sales.csv') TO 'sales.parquet'; COPY (FROM 'sales.csv') TO 'sales/' STORED AS PARQUET; \
                COPY (FROM 'sales.csv') TO 'sales/more.parquet'";
    ok(folder.path(), &["sql", copy]);
    folder
}

/// Compares the cells of a section with those that have an expected output.
fn expect_cells(section: &str, expected: &[&str]) {
    assert_eq!(cells(section), expected, "the cells of the section '{section}'");
}

#[test]
fn the_statements_have_their_results() {
    // Each with statements that show what it does, and a part of what they print.
    let filter = "SELECT sum(amount) FROM 'sales.parquet' WHERE region = 'north'";
    let statements: [(&str, &str, &str); 21] = [
        ("FROM 'sales.parquet' LIMIT 2", "", "2,south,20.0,2024-01-02\n"),
        ("SELECT count(*) FROM 'sales/*.parquet'", "", "\n8\n"),
        (
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'sales/'",
            "; SELECT sum(id) AS s FROM t",
            "s\n20\n",
        ),
        ("FROM read_csv('semi.csv', delim = ';', header = true)", "", "id,amount\n1,7.5\n"),
        ("DESCRIBE 'sales.parquet'", "", "\namount,Float64,YES\n"),
        ("SUMMARIZE 'sales.parquet'", "", "\namount,Float64,3,1,3,10.5,30.25,20.25,9.877,12.88,20.0,27.69\n"),
        (
            "SELECT name, type FROM parquet_schema('sales.parquet')",
            "",
            "\nid,INT64\nregion,BYTE_ARRAY\namount,DOUBLE\nday,INT32\n",
        ),
        (
            "SELECT path_in_schema, compression FROM parquet_metadata('sales.parquet')",
            "",
            "path_in_schema,compression\nid,",
        ),
        (
            "SELECT created_by FROM parquet_file_metadata('sales.parquet')",
            "",
            "created_by\ndatafusion version ",
        ),
        (filter, "", "\n40.75\n"),
        ("SELECT * EXCLUDE (id) FROM 'sales.parquet'", "", "region,amount,day\nnorth,10.5,2024-01-01\n"),
        (
            "COPY (SELECT * FROM 'sales.csv') TO 'new.parquet'",
            "; SELECT count(*) AS n FROM 'new.parquet'",
            "n\n4\n",
        ),
        (
            "COPY (SELECT * FROM 'sales.csv') TO 'regions' STORED AS PARQUET PARTITIONED BY (region)",
            "; SELECT id FROM 'regions/region=west/*.parquet'",
            "id\n4\n",
        ),
        (
            "CREATE FUNCTION tax(a DOUBLE) RETURNS DOUBLE RETURN a * 0.19",
            "; SELECT tax(100) AS t",
            "t\n19.0\n",
        ),
        ("SHOW FUNCTIONS LIKE 'log%'", "", "\"function_name\":\"log3\""),
        (
            "SET datafusion.execution.target_partitions = 2",
            "; SHOW datafusion.execution.target_partitions",
            "partitions,2\n",
        ),
        ("SET datafusion.runtime.memory_limit = '1G'", "; SELECT 1 AS one", "one\n1\n"),
        ("EXPLAIN SELECT sum(amount) FROM 'sales.parquet'", "", "sum("),
        ("EXPLAIN ANALYZE SELECT sum(amount) FROM 'sales.parquet'", "", "output_rows"),
        ("SELECT * FROM 'sales.parquet' WHERE random() < 0.5", "; SELECT 1 AS one", "id,region,amount,day\n"),
        ("SHOW TABLES", "", ",rows,"),
    ];
    expect_cells("SQL", &statements.map(|(statement, ..)| statement));
    let folder = folder();
    for (statement, then, expected) in statements {
        let text = format!("{statement}{then}");
        // Lists cannot be written as CSV.
        let format = if statement.starts_with("SHOW FUNCTIONS") { "json" } else { "csv" };
        let run = ok(folder.path(), &["sql", &text, "--format", format]);
        assert!(run.stdout.contains(expected), "{text}\n{}", run.stdout);
    }
}

#[test]
fn the_commands_have_their_output() {
    let commands = [
        ("warpframe sql \"SELECT 42\"", "42"),
        ("warpframe sql -f q.sql", "|     42 |"),
        ("warpframe sql < q.sql", "|     42 |"),
        ("warpframe sql --init init.sql \"SELECT tax(10)\"", " 1.9 "),
        ("warpframe sql --table s=sales.parquet \"SELECT count(*) FROM s\"", " 4 "),
        ("warpframe sql --format csv \"SELECT 42 AS a\"", "a\n42\n"),
        ("warpframe sql --format json \"SELECT 42 AS a\"", "[{\"a\":42}]"),
        ("warpframe sql \"SELECT 42 AS a\" --out a.parquet", ""),
        ("warpframe sql --max-rows 20 \"FROM 'sales.csv'\"", "| south  |"),
        ("warpframe sql --memory-limit 1G \"SELECT 42\"", "42"),
        ("warpframe run --in sales.parquet --select \"*, ln(amount) AS l\" --out l.parquet", ""),
        ("warpframe sql --csv-delimiter \";\" \"FROM 'semi.csv'\"", "|  1 |    7.5 |"),
        ("warpframe run --in sales.csv more.csv --select \"*\" --out all.parquet", ""),
        ("warpframe run --in sales.csv --select \"*\" --out r --partition-by region", ""),
        (
            "warpframe run --in - --in-format csv --select id --out - --out-format csv < sales.csv",
            "id\n1\n2\n3\n4\n",
        ),
        ("warpframe completions bash", "complete "),
    ];
    expect_cells("Commands", &commands.map(|(command, _)| command));
    let folder = folder();
    // A limit of rows shows on a table that has more.
    let long = tempdir().unwrap();
    ok(long.path(), &["sql", "COPY (SELECT id FROM generate_rows(60)) TO 'sales.csv'"]);
    let limited = commands.iter().find(|(line, _)| line.contains("--max-rows")).unwrap().0;
    let shown = finish(shell_line(long.path(), limited).output().unwrap()).stdout;
    assert!(shown.ends_with("\n60 rows, the first 10 and the last 10 shown\n"), "{shown}");
    for (line, expected) in commands {
        let run = finish(shell_line(folder.path(), line).output().unwrap());
        assert_eq!(run.code, Some(0), "{line}: {run:#?}");
        assert!(run.stdout.contains(expected), "{line}\n{}", run.stdout);
    }
    for (file, query, rows) in
        [("a.parquet", "a = 42", 1), ("l.parquet", "l > 3", 1), ("l.parquet", "true", 4)]
    {
        let count = format!("SELECT count(*) AS n FROM '{file}' WHERE {query}");
        assert_eq!(
            ok(folder.path(), &["sql", &count, "--format", "csv"]).stdout,
            format!("n\n{rows}\n"),
            "{count}"
        );
    }
    let rows = |query: &str| ok(folder.path(), &["sql", query, "--format", "csv"]).stdout;
    let all = "id,region,amount\n1,north,10.5\n2,south,20.0\n3,north,30.25\n4,west,\n5,east,1.0\n";
    assert_eq!(rows("SELECT id, region, amount FROM 'all.parquet'"), all);
    let folders = ["region=north", "region=south", "region=west"];
    assert_eq!(entries(&folder.path().join("r")), folders);
    assert_eq!(rows("SELECT id, amount FROM 'r/region=north' ORDER BY id"), "id,amount\n1,10.5\n3,30.25\n");
}

/// A line for `sh` that finds the command of this build.
fn shell_line(folder: &Path, line: &str) -> std::process::Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_warpframe"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", line]).current_dir(folder).env("PATH", path).stdin(Stdio::null());
    shell
}

#[cfg(unix)]
#[test]
fn the_shell_has_its_commands() {
    use crate::common::pty::Terminal;

    // In this order: the format stays, and the file of `\o` is that of the statement behind it.
    let lines = [
        ("\\d", "t "),
        ("\\d t", "amount"),
        ("\\df log*", "log3"),
        ("\\mode csv", ""),
        ("\\x", "the format is line"),
        ("\\timing", "timing is off"),
        ("\\maxrows 20", ""),
        ("\\i q.sql", "answer = 42"),
        ("\\o a.csv", ""),
        ("\\pager", "results are shown by"),
        ("\\?", "\\maxrows"),
        ("exit", ""),
    ];
    expect_cells("The shell", &lines.map(|(line, _)| line));
    let folder = folder();
    let mut start = command(folder.path());
    start.args(["sql", "--table", "t=sales.parquet"]).env("HOME", folder.path()).env("NO_COLOR", "1");
    start.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME").env("PAGER", "sed 's/^/paged: /'");
    let mut shell = Terminal::start(start, 40, 100);
    for (line, expected) in lines {
        shell.expect("warpframe> ");
        shell.send(&format!("{line}\r"));
        shell.expect(expected);
        // What they have changed.
        let effects: &[(&str, &str)] = match line {
            "\\mode csv" => &[("select 40 + 2 as answer;", "answer\r\n42\r\n")],
            "\\maxrows 20" => &[
                ("\\mode table", ""),
                ("select id from generate_rows(60);", "60 rows, the first 10 and the last 10 shown"),
                ("\\mode line", ""),
            ],
            "\\o a.csv" => &[("select 42 as answer;", "1 row in a.csv")],
            "\\pager" => &[("select 40 + 2 as answer;", "paged: answer = 42")],
            _ => &[],
        };
        for (statement, shown) in effects {
            shell.expect("warpframe> ");
            shell.send(&format!("{statement}\r"));
            shell.expect(shown);
        }
    }
    assert!(shell.wait().success());
    assert_eq!(std::fs::read_to_string(folder.path().join("a.csv")).unwrap(), "answer\n42\n");
}
