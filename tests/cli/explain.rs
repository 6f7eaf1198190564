//! `EXPLAIN` and `EXPLAIN ANALYZE` of the command.

use tempfile::tempdir;
use unicode_width::UnicodeWidthStr;

use crate::common::ok;

/// The widths of the lines of a text.
fn widths(text: &str) -> Vec<usize> {
    text.lines().map(UnicodeWidthStr::width).collect()
}

#[test]
fn a_plan_is_a_tree_and_has_other_formats() {
    let folder = tempdir().unwrap();
    let sql = |query: &str| ok(folder.path(), &["sql", "--backend", "simd", query]).stdout;
    let query = "SELECT ln(x) * 2 AS a, ln(x) * 3 AS b FROM rows WHERE ln(x) > 1";
    let tree = sql(&format!("EXPLAIN {query}"));
    for part in [
        "┌─",
        "└─",
        "│         FusedExec         │",
        "backend",
        "simd",
        "predicate",
        "GenerateExec",
        "distribution",
    ] {
        assert!(tree.contains(part), "{part}: {tree}");
    }
    assert!(!tree.contains("logical_plan"), "{tree}");
    let all = widths(&tree);
    assert!(all.iter().all(|width| *width == all[0] && *width <= 100), "{tree}");
    // Wide expressions are wrapped and cut, also with letters of which DataFusion cuts a part.
    let terms =
        (0..100).map(|term| format!("ln(x + {term}) AS \"größe {term}\"")).collect::<Vec<_>>().join(", ");
    let wide = sql(&format!("EXPLAIN SELECT {terms} FROM rows WHERE ln(x) > 1"));
    let all = widths(&wide);
    assert!(wide.contains("größe") && all.iter().all(|width| *width == all[0] && *width <= 100), "{wide}");
    let join =
        sql("EXPLAIN SELECT count(*) FROM rows a JOIN rows b ON a.id = b.id JOIN rows c ON a.id = c.id");
    assert!(widths(&join).iter().all(|width| *width <= 120), "{join}");

    let indent = sql(&format!("EXPLAIN FORMAT INDENT {query}"));
    assert!(indent.contains("logical_plan") && indent.contains("FusedExec: backend=simd"), "{indent}");
    assert!(sql(&format!("EXPLAIN FORMAT PGJSON {query}")).contains("\"Node Type\""));
    assert!(sql(&format!("EXPLAIN FORMAT GRAPHVIZ {query}")).contains("digraph"));
    assert!(sql(&format!("EXPLAIN FORMAT TREE {query}")).contains("┌─"));
    let set = format!("SET datafusion.explain.format = 'indent'; EXPLAIN {query}");
    assert_eq!(sql(&set), indent);
    let why = sql("EXPLAIN VERBOSE SELECT x + 1 AS r FROM rows");
    assert!(why.contains("fuse: not fused") && why.contains("logical_plan"), "{why}");
    // What has no physical plan has no tree.
    let created = sql("EXPLAIN CREATE TABLE t AS SELECT 1 AS a");
    assert!(created.contains("CreateMemoryTable"), "{created}");
}

#[cfg(unix)]
#[test]
fn a_tree_that_is_wider_than_the_terminal_is_indented_instead() {
    let folder = tempdir().unwrap();
    let explained = |query: &str, columns: u16| {
        let mut command = crate::common::command(folder.path());
        command.args(["sql", &format!("EXPLAIN {query}")]).env("NO_COLOR", "1");
        let mut terminal = crate::common::pty::Terminal::start(command, 40, columns);
        terminal.expect(" s)");
        assert!(terminal.wait().success());
        let output = terminal.output();
        let table: String = output
            .lines()
            .filter(|line| line.starts_with(['|', '+']))
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(widths(&table).iter().all(|width| *width <= usize::from(columns)), "{table}");
        table
    };
    let joins =
        "SELECT a.id, b.x + c.y AS s FROM rows a JOIN rows b ON a.id = b.id JOIN rows c ON a.id = c.id";
    let indented = explained(joins, 80);
    assert!(!indented.contains("┌─") && indented.contains("logical_plan"), "{indented}");
    // Nothing is cut off.
    assert_eq!(indented.matches("GenerateExec").count(), 3, "{indented}");
    assert!(!indented.contains('…'), "{indented}");
    assert!(explained(joins, 140).contains("┌─"));
    assert!(explained("SELECT ln(x) * 2 FROM rows", 80).contains("┌─"));
}

#[test]
fn the_time_in_which_native_code_was_made_is_shown() {
    let folder = tempdir().unwrap();
    let sql = |query: &str| ok(folder.path(), &["sql", "--format", "csv", query]).stdout;
    let query = "SELECT sum(ln(x) * 2 + 1) FROM generate_rows(1000)";
    let is_native = sql(&format!("EXPLAIN {query}")).contains("native ");
    if !is_native {
        println!("SKIPPED: there is no native code for this CPU");
    }
    let analyzed = sql(&format!("EXPLAIN ANALYZE {query}"));
    assert_eq!(analyzed.contains("native_compile_time="), is_native, "{analyzed}");
    let verbose = sql(&format!("EXPLAIN VERBOSE {query}"));
    let time = verbose.split(" (compiled in ").nth(1).and_then(|rest| rest.split_once(" µs)"));
    let is_time = time.is_some_and(|(time, _)| time.parse::<u64>().is_ok());
    assert_eq!(is_time, is_native, "{verbose}");
    // Plans of one query are the same text.
    let plan = sql(&format!("EXPLAIN FORMAT INDENT {query}"));
    assert!(!plan.contains("compiled in"), "{plan}");
    let loops =
        sql(&format!("SET warpframe.backend = 'simd'; EXPLAIN ANALYZE {query}; EXPLAIN VERBOSE {query}"));
    assert!(!loops.contains("native") && !loops.contains("compiled in"), "{loops}");
}

#[test]
#[cfg(target_os = "linux")]
fn where_executable_memory_is_refused_the_loops_are_used() {
    use std::os::unix::process::CommandExt;
    // From Linux 6.3 on. From then on, memory cannot become executable.
    const PR_SET_MDWE: i32 = 65;
    const PR_MDWE_REFUSE_EXEC_GAIN: u64 = 1;
    let query = "SELECT sum(ln(x) * 2 + 1) FROM generate_rows(1000)";
    let explain = format!("EXPLAIN FORMAT INDENT {query}; {query}");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_warpframe"));
    command.args(["sql", "--format", "csv", &explain]);
    let plain = command.output().unwrap();
    // SAFETY: prctl may be called between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let Ok(refused) = command.output() else {
        return println!("SKIPPED: this kernel cannot refuse executable memory");
    };
    let [plain, refused] = [plain, refused].map(|output| String::from_utf8(output.stdout).unwrap());
    if !plain.contains("native ") {
        return println!("SKIPPED: there is no native code for this CPU");
    }
    assert!(refused.contains("backend=simd") && !refused.contains("native"), "{refused}");
    assert!(refused.contains("the system refuses executable memory: Permission denied"), "{refused}");
    assert_eq!(plain.lines().last(), refused.lines().last());
}

#[test]
fn an_analysis_fits_a_terminal_and_is_whole_for_programs() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    ok(
        at,
        &["generate", "--rows", "20000", "--row-group-rows", "5000", "--threads", "1", "--out", "t.parquet"],
    );
    let sql = |query: &str, format: &[&str]| {
        ok(at, &[&["sql", "--threads", "2", "--table", "t.parquet", query][..], format].concat()).stdout
    };
    let query = "SELECT k, sum(a), max(b) FROM (SELECT id % 7 AS k, ln(x) * y AS a, ln(x) + z AS b FROM t \
                 WHERE id >= 15000 AND ln(x) > 1) GROUP BY k ORDER BY sum(a) DESC, max(b) LIMIT 3";
    for keyword in ["", "VERBOSE"] {
        let table = sql(&format!("EXPLAIN ANALYZE {keyword} {query}"), &[]);
        let all = widths(&table);
        assert!(all.iter().all(|width| *width == all[0] && *width <= 100), "{table}");
        let lines: Vec<_> = table.lines().collect();
        let cells = |name: &str| -> Vec<String> {
            let line =
                lines.iter().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {table}"));
            line.split('|').skip(2).map(|cell| cell.trim().to_owned()).collect()
        };
        assert_eq!(
            lines[1].split('|').map(str::trim).collect::<Vec<_>>(),
            ["", "operator", "rows", "batches", "time", ""]
        );
        assert_eq!(cells("Query (elapsed")[..2], ["3", ""], "{table}");
        assert_eq!(cells("└─ FusedExec: ")[0], "5000", "{table}");
        assert_eq!(cells("└─ DataSourceExec: ")[0], "5000", "{table}");
        for operator in ["Query (elapsed", "SortExec: ", "FusedExec: ", "AggregateExec: mode=Partial"] {
            assert!(cells(operator)[2].ends_with('s'), "{operator} has a time: {table}");
        }
        // Four row groups, of which three cannot match.
        assert!(
            table.contains("row_groups_pruned_statistics=4") && table.contains("total → 1 matched"),
            "{table}"
        );
        assert!(table.contains("bytes_scanned="), "{table}");
        assert_eq!(table.contains("time_elapsed_opening="), keyword == "VERBOSE", "{table}");
        let levels = sql(&format!("EXPLAIN (ANALYZE, LEVEL summary) {query}"), &[]);
        assert!(levels.contains("output_bytes=") && !levels.contains("time_elapsed_opening="), "{levels}");
    }
    // Decoding counts as time of a scan, whatever the format.
    ok(at, &["sql", "--table", "t.parquet", "COPY t TO 't.csv'; COPY t TO 't.ndjson'"]);
    for file in ["t.csv", "t.ndjson", "t.parquet"] {
        let table = sql(&format!("EXPLAIN ANALYZE SELECT sum(y) FROM '{file}'"), &[]);
        let line = table.lines().find(|line| line.contains("DataSourceExec: ")).unwrap();
        let time = line.split('|').rev().nth(1).unwrap().trim();
        assert!(time.ends_with("ms") || time.ends_with("µs"), "{file}: {table}");
    }
    // Programs get DataFusion's lines with all metrics.
    let whole = sql(&format!("EXPLAIN ANALYZE {query}"), &["--format", "csv"]);
    for part in ["Plan with Metrics", "metrics=[output_rows=", "time_elapsed_opening=", "elapsed_compute="] {
        assert!(whole.contains(part), "{part}: {whole}");
    }
    let json = sql(&format!("EXPLAIN (ANALYZE, FORMAT PGJSON) {query}"), &[]);
    assert!(json.contains("Actual Rows"), "{json}");
    let markdown = sql(&format!("EXPLAIN ANALYZE {query}"), &["--format", "markdown"]);
    assert!(markdown.starts_with("| operator"), "{markdown}");
    // Errors of the query are those of the query.
    let failed = crate::common::expect_failure(
        at,
        &["sql", "EXPLAIN ANALYZE SELECT sqrt(-x) FROM rows"],
        1,
        &["negative"],
    );
    assert_eq!(failed.stdout, "");
}
